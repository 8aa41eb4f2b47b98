import type { Logger } from '../../backend/index.js';
import { DiscoveryError, messageOf } from '../../model/index.js';
import { Exchange, Refusal } from './exchange.js';

/** Answers a request by `run`, and with what that throws. What isn't for whoever asked is told to those who run the app. */
export async function answering(
  logger: Logger,
  request: object,
  response: object,
  run: (exchange: Exchange) => void | Promise<void>,
): Promise<void> {
  const exchange = new Exchange(request, response);
  try {
    exchange.assertReadable();
    await run(exchange);
  } catch (error) {
    const isKnown = error instanceof Refusal || error instanceof DiscoveryError;
    if (!isKnown) logger.error(`the operator's endpoints failed: ${messageOf(error)}`);
    exchange.fail(error);
  }
}
