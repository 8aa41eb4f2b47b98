import type { AddressInfo } from 'node:net';
import type { INestApplication, LoggerService, Type } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { afterEach, expect } from 'vitest';
import { AppRegistration } from '../../lib/index.js';

const apps: INestApplication[] = [];

afterEach(async () => {
  for (const app of apps.splice(0)) await app.close().catch(() => {});
});

/** Collects what the app logs. */
export class LogCollector implements LoggerService {
  readonly lines: string[] = [];

  log(message: unknown): void {
    this.lines.push(`log ${String(message)}`);
  }

  warn(message: unknown): void {
    this.lines.push(`warn ${String(message)}`);
  }

  error(message: unknown): void {
    this.lines.push(`error ${String(message)}`);
  }

  debug(): void {}

  warnings(): readonly string[] {
    return this.lines.filter((line) => line.startsWith('warn') && !line.includes('[Nest]'));
  }
}

/** An app that was created and is closed after the test. */
export async function createApp(
  module: unknown,
  options: { readonly logger?: LoggerService; readonly return503OnClosing?: boolean } = {},
): Promise<INestApplication> {
  const app = await NestFactory.create(module as Type, { logger: false, abortOnError: false, ...options });
  apps.push(app);
  return app;
}

/** An app that listens on a free port of the loopback. */
export async function listen(module: unknown, logger?: LoggerService): Promise<INestApplication> {
  const app = await createApp(module, logger === undefined ? {} : { logger });
  await app.listen(0, '127.0.0.1');
  return app;
}

/** What an app may serve HTTP with. */
export type Platform = 'express' | 'fastify';

/** An app on one of the platforms, created and not yet listening. */
export async function createOn(
  platform: Platform,
  module: unknown,
  logger: LoggerService | false = false,
): Promise<INestApplication> {
  const options = { logger, abortOnError: false };
  const app =
    platform === 'fastify'
      ? await NestFactory.create(module as Type, new FastifyAdapter(), options)
      : await NestFactory.create(module as Type, options);
  apps.push(app);
  return app;
}

/** An app without a server. */
export async function init(module: unknown, logger?: LoggerService): Promise<INestApplication> {
  const app = await createApp(module, logger === undefined ? {} : { logger });
  await app.init();
  return app;
}

/** The port that an app listens on. */
export function portOf(app: INestApplication): number {
  return (app.getHttpServer() as { address(): AddressInfo }).address().port;
}

/** Waits until every registry has the app. */
export async function registered(app: INestApplication): Promise<void> {
  await expect.poll(() => app.get(AppRegistration).lease?.state.current.phase).toBe('registered');
}
