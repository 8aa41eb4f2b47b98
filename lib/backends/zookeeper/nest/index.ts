export { AsabAuthorization } from '../asab/asab.authorization.js';
export { AsabDiscovery } from '../asab/asab.locator.js';
export { AsabTokenVerifier, type AsabCaller, type AsabTokenOptions } from '../asab/asab.tokens.js';
export { AsabTools } from '../asab/asab.tools.js';
export type { IncomingRequest } from '../asab/asab.types.js';
export { AsabAuthGuard, asabCallerOf } from './asab-auth.guard.js';
export { AsabModule, AsabRequestMiddleware, type AsabModuleOptions } from './asab.module.js';
