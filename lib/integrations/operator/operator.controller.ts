import { Controller, Get, Inject, Post, Req, Res, UseGuards, VERSION_NEUTRAL, type Type } from '@nestjs/common';
import { answering } from './answering.js';
import { Refusal, type Exchange } from './exchange.js';
import { OwnMachineGuard } from './own-machine.guard.js';
import { reasonOf, type Part } from './operator-state.js';
import type { ResolvedOperatorOptions } from './operator.options.js';
import { OperatorParts } from './operator-parts.js';
import { PAGE_HTML, PAGE_ICON, PAGE_SCRIPT, PAGE_STYLE } from './page/page.asset.js';

/** The controller of an app's options: its path and its guards are the class's own. */
export function operatorController({ path, guards }: ResolvedOperatorOptions): Type {
  @Controller({ path, version: VERSION_NEUTRAL })
  @UseGuards(...(guards.length === 0 ? [new OwnMachineGuard()] : guards))
  class DiscoveryOperatorController extends OperatorRoutes {
    constructor(@Inject(OperatorParts) parts: OperatorParts) {
      super(parts);
    }
  }
  return DiscoveryOperatorController;
}

/** The routes, each answered by one of the parts. */
class OperatorRoutes {
  constructor(private readonly parts: OperatorParts) {}

  @Get()
  root(@Req() request: object, @Res() response: object): Promise<void> {
    return this.answer(request, response, (exchange) => {
      this.assertPage();
      // Relative, so that it is right behind a proxy that takes a prefix off.
      const last = /[^/]+(\/?)$/.exec(exchange.path) ?? [];
      exchange.redirect(last[1] === '/' ? 'page' : `${last[0] ?? '.'}/page`);
    });
  }

  @Get('page')
  page(@Req() request: object, @Res() response: object): Promise<void> {
    return this.asset(request, response, 'text/html; charset=utf-8', PAGE_HTML);
  }

  @Get('page.js')
  script(@Req() request: object, @Res() response: object): Promise<void> {
    return this.asset(request, response, 'text/javascript; charset=utf-8', PAGE_SCRIPT);
  }

  @Get('page.css')
  style(@Req() request: object, @Res() response: object): Promise<void> {
    return this.asset(request, response, 'text/css; charset=utf-8', PAGE_STYLE);
  }

  @Get('page.svg')
  icon(@Req() request: object, @Res() response: object): Promise<void> {
    return this.asset(request, response, 'image/svg+xml', PAGE_ICON);
  }

  @Get('overview')
  overview(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, () => this.parts.state.overview());
  }

  @Get('backends')
  backends(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, () => this.parts.state.backends());
  }

  @Get('counts')
  counts(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, () => this.parts.state.counts());
  }

  @Get('services')
  services(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, (exchange) =>
      this.parts.state.services(partOf(exchange, 100, 1000), exchange.query.get('known') === 'true'),
    );
  }

  @Get('services/:name')
  service(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, (exchange) =>
      this.parts.state.service(exchange.param('name'), partOf(exchange, 200, 1000)),
    );
  }

  @Get('registration')
  registration(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, () => this.parts.state.ownRegistration());
  }

  @Post('registration/pause')
  pause(@Req() request: object, @Res() response: object): Promise<void> {
    return this.write(request, response, async (exchange) => {
      const reason = reasonOf(await exchange.body());
      return this.parts.state.changed(() => this.parts.registration.pause(reason));
    });
  }

  @Post('registration/resume')
  resume(@Req() request: object, @Res() response: object): Promise<void> {
    return this.write(request, response, async (exchange) => {
      await exchange.body();
      return this.parts.state.changed(() => this.parts.registration.resume());
    });
  }

  @Get('configuration')
  configuration(@Req() request: object, @Res() response: object): Promise<void> {
    return this.json(request, response, (exchange) => {
      const key = exchange.query.get('key');
      if (key !== null) return this.parts.state.explanation(key);
      return this.parts.state.configuration(partOf(exchange, 200, 1000));
    });
  }

  @Post('refresh')
  refresh(@Req() request: object, @Res() response: object): Promise<void> {
    return this.write(request, response, async (exchange) => {
      await exchange.body();
      return this.parts.state.refresh();
    });
  }

  @Get('events')
  events(@Req() request: object, @Res() response: object): Promise<void> {
    return this.answer(request, response, (exchange) => {
      const { feed } = this.parts;
      const wantsStream = (exchange.request.headers.accept ?? '').includes('text/event-stream');
      if (!wantsStream) return exchange.json({ events: feed.recent, dropped: feed.dropped });
      const after = Number(exchange.request.headers['last-event-id'] ?? exchange.query.get('after') ?? 0);
      if (feed.attach(() => exchange.stream(), Number.isSafeInteger(after) ? after : 0)) return;
      exchange.response.setHeader('retry-after', '5');
      throw new Refusal(503, 'as many streams of events are open as may, or the app is shutting down');
    });
  }

  private asset(request: object, response: object, type: string, text: string): Promise<void> {
    return this.answer(request, response, (exchange) => {
      this.assertPage();
      exchange.send(200, type, text);
    });
  }

  private json(request: object, response: object, read: (exchange: Exchange) => unknown): Promise<void> {
    return this.answer(request, response, async (exchange) => exchange.json(await read(exchange)));
  }

  private write(request: object, response: object, run: (exchange: Exchange) => Promise<unknown>): Promise<void> {
    return this.json(request, response, (exchange) => {
      if (this.parts.options.readOnly) throw new Refusal(403, 'nothing can be changed here: readOnly is set');
      return run(exchange);
    });
  }

  private answer(request: object, response: object, run: (exchange: Exchange) => void | Promise<void>): Promise<void> {
    return answering(this.parts.logger, request, response, run);
  }

  private assertPage(): void {
    if (!this.parts.options.page) throw new Refusal(404, 'there is no page here: page is off');
  }
}

function partOf(exchange: Exchange, limit: number, max: number): Part {
  return {
    offset: exchange.number('offset', 0, 1_000_000),
    limit: exchange.number('limit', limit, max),
    search: (exchange.query.get('search') ?? '').slice(0, 255),
  };
}
