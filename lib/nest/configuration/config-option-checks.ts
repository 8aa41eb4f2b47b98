import { anything, flag, satisfying, text, type Check } from '../../backend/index.js';
import { isStandardSchema } from '../../config/index.js';
import type { ConfigPropertyOptions } from './config-class.js';

/** The options of a single configured property. */
export const CONFIG_OPTION_CHECKS: Readonly<Record<keyof ConfigPropertyOptions, Check>> = {
  name: text,
  default: anything,
  optional: flag,
  of: satisfying('String, Number or Boolean', (value) => value === String || value === Number || value === Boolean),
  schema: satisfying('a Standard Schema (zod, valibot …)', isStandardSchema),
};
