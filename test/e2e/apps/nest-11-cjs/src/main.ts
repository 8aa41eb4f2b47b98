import 'reflect-metadata';
import { NestFactory } from '@nestjs/core';
import {
  AppRegistration,
  DiscoveryClient,
  DiscoveryError,
  enableGracefulShutdown,
  ServiceHttpClient,
} from 'nestjs-service-discovery';
import { firstValueFrom } from 'rxjs';
import { AppModule } from './app.module';

async function main(): Promise<void> {
  // The same classes, whichever way the package is loaded: two copies would break injection and instanceof.
  const esm = await (new Function("return import('nestjs-service-discovery')")() as Promise<
    typeof import('nestjs-service-discovery')
  >);
  if (esm.DiscoveryError !== DiscoveryError) throw new Error('the package was loaded twice');
  const app = enableGracefulShutdown(await NestFactory.create(AppModule, { logger: ['error', 'warn'] }));
  await app.listen(0, '127.0.0.1');
  await app.get(AppRegistration).lease?.registered;
  await app.get(DiscoveryClient).refresh('SELF');
  const { data } = await firstValueFrom(app.get(ServiceHttpClient).get('lb://SELF/call', { params: { unused: 1 } }));
  console.log(JSON.stringify(data));
  await app.close();
}

void main();
