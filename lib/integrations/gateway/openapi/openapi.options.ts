import {
  either,
  integerBetween,
  milliseconds,
  object,
  recordOf,
  required,
  satisfying,
  type Check,
} from '../../../backend/index.js';

/** How the gateway reads the OpenAPI documents of the services that it forwards to. */
export interface GatewayOpenApiOptions {
  /**
   * Where a service has its document, as JSON: `/docs-json`, as `SwaggerModule.setup('docs', …)` serves it, or `/v3/api-docs` of
   * Spring; or by the services' names, where the others have none. It is looked for below the instance's context path, and then
   * without that.
   */
  readonly path: string | Readonly<Record<string, string>>;
  /** A document that is older is read again when somebody looks, in milliseconds. @default 60000 */
  readonly maxAgeMs?: number;
  /** How long a look waits for a document, in milliseconds; the one before is shown then. @default 5000 */
  readonly timeoutMs?: number;
  /** A larger document isn't read, in bytes. @default 2097152 */
  readonly maxBytes?: number;
}

const path = satisfying(
  "a path that begins with a slash, such as '/docs-json'",
  (value) => typeof value === 'string' && /^\/(?!\/)[^\s#\\]*$/.test(value) && !value.split(/[/?]/).includes('..'),
);

export const openApiCheck: Check = required(
  ['path'],
  object({
    path: either("a path such as '/docs-json', or paths by the names of services", path, recordOf(path)),
    maxAgeMs: milliseconds(),
    timeoutMs: milliseconds(1),
    maxBytes: integerBetween(1, 64 * 1024 * 1024),
  } satisfies Record<keyof GatewayOpenApiOptions, Check>),
);
