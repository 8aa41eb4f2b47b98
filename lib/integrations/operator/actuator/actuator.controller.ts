import { Controller, Get, Inject, Post, Req, Res, UseGuards, VERSION_NEUTRAL, type Type } from '@nestjs/common';
import type { Logger } from '../../../backend/index.js';
import { answering } from '../answering.js';
import { Refusal, type Exchange } from '../exchange.js';
import { OwnMachineGuard } from '../own-machine.guard.js';
import type { OperatorGuard } from '../operator.options.js';
import { Actuator } from './actuator.js';
import { httpStatusOf, type ActuatorComponent, type ActuatorHealth } from './actuator-health.js';

/** The content type of Spring Boot's answers. */
const SPRING = 'application/vnd.spring-boot.actuator.v3+json';

/** The controller of an app's options. */
export function actuatorController(path: string, guards: readonly OperatorGuard[]): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(...(guards.length === 0 ? [new OwnMachineGuard()] : guards))
  class DiscoveryActuatorController extends ActuatorRoutes {
    constructor(@Inject(Actuator) actuator: Actuator) {
      super(actuator, actuator.logger);
    }
  }
  return DiscoveryActuatorController;
}

/** Spring Boot's routes. */
class ActuatorRoutes {
  constructor(
    private readonly actuator: Actuator,
    private readonly logger: Logger,
  ) {}

  @Get()
  root(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, (exchange) => {
      const { headers, socket } = exchange.request;
      const scheme = 'encrypted' in socket ? 'https' : 'http';
      return this.actuator.links(`${scheme}://${headers.host ?? 'localhost'}${exchange.path.replace(/\/+$/, '')}`);
    });
  }

  @Get('health')
  health(@Req() request: object, @Res() response: object): Promise<void> {
    return this.healthOf(request, response, () => this.actuator.health.whole());
  }

  @Get('health/:name')
  healthPart(@Req() request: object, @Res() response: object): Promise<void> {
    return this.healthOf(request, response, (exchange) => this.actuator.health.named(exchange.param('name')));
  }

  @Get('info')
  info(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, () => this.actuator.info());
  }

  @Get('metrics')
  metrics(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, () => ({ names: this.actuator.metrics.names }));
  }

  @Get('metrics/:name')
  metric(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, (exchange) =>
      this.actuator.metrics.read(exchange.param('name'), exchange.query.getAll('tag').slice(0, 20)),
    );
  }

  @Get('env')
  env(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, () => this.actuator.env());
  }

  @Get('env/:key')
  envEntry(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, (exchange) => this.actuator.envEntry(exchange.param('key')));
  }

  @Get('serviceregistry')
  registryStatus(@Req() request: object, @Res() response: object): Promise<void> {
    return this.spring(request, response, () => this.actuator.registryStatus());
  }

  @Post('serviceregistry')
  setRegistryStatus(@Req() request: object, @Res() response: object): Promise<void> {
    return this.write(request, response, async (exchange) => this.actuator.setRegistryStatus(await exchange.body()));
  }

  @Post('refresh')
  refresh(@Req() request: object, @Res() response: object): Promise<void> {
    return this.write(request, response, (exchange) => {
      // Spring's clients send no body.
      exchange.assertSameSite();
      return this.actuator.refresh();
    });
  }

  private healthOf(
    request: object,
    response: object,
    read: (exchange: Exchange) => ActuatorHealth | ActuatorComponent | undefined,
  ): Promise<void> {
    return answering(this.logger, request, response, (exchange) => {
      const health = read(exchange);
      if (health === undefined) throw new Refusal(404, 'there is no such part of the health');
      exchange.json(health, httpStatusOf(health), SPRING);
    });
  }

  private spring(request: object, response: object, read: (exchange: Exchange) => unknown): Promise<void> {
    return answering(this.logger, request, response, async (exchange) => {
      const answer = await read(exchange);
      if (answer === undefined) throw new Refusal(404, 'there is nothing of that name');
      exchange.json(answer, 200, SPRING);
    });
  }

  private write(request: object, response: object, run: (exchange: Exchange) => Promise<unknown>): Promise<void> {
    return this.spring(request, response, (exchange) => {
      if (this.actuator.readOnly) throw new Refusal(403, 'nothing can be changed here: readOnly is set');
      return run(exchange);
    });
  }
}
