import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { EUREKA_URL } from './backend.js';

/** What to try. One request goes from Nest to Spring and from there to Nest. */
export const hints = (url: string, stock: number): string => `
shop        ${url}/offers/tea   asks SPRING-PRICES, which asks NEST-STOCK
            ${url}/peers        shows what Nest has discovered
page        ${url}/discovery   what Nest sees, and a switch that takes it out of traffic
registry    ${EUREKA_URL.replace(/\/eureka$/, '')}   Eureka's own page
fail over   kill -9 ${stock}   and go on calling: no request fails, for Spring tries the other one
stop        Ctrl-C
`;

const project = fileURLToPath(new URL('../spring-prices', import.meta.url));

/** The Spring service: `SPRING_JAR` if that is set, else built with Maven on the first run. */
export function prepare(): Promise<ChildProcess> {
  let jar = process.env['SPRING_JAR'];
  if (jar === undefined) {
    jar = `${project}/target/server.jar`;
    if (!existsSync(jar)) {
      process.stdout.write('building the Spring service with Maven\n');
      execFileSync('mvn', ['-B', '-ntp', '-q', 'package'], { cwd: project, stdio: 'inherit' });
    }
  }
  // Compiled less and started sooner.
  const settings = [
    '-Xmx256m',
    '-XX:TieredStopAtLevel=1',
    '-jar',
    jar,
    `--eureka.client.service-url.defaultZone=${EUREKA_URL}/`,
  ];
  return Promise.resolve(spawn('java', settings, { stdio: ['ignore', 'ignore', 'inherit'] }));
}
