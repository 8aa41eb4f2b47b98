import type { Lease } from '../backend/index.js';
import type { RegistrationInput } from '../model/index.js';

/** A registration that hooks may still change. */
export type RegistrationDraft = { -readonly [K in keyof RegistrationInput]: RegistrationInput[K] };

/**
 * Called on every provider and controller that has the method, before the app registers. May change the draft. What it
 * throws keeps the app unregistered.
 * @publicApi
 */
export interface BeforeServiceRegister {
  beforeServiceRegister(registration: RegistrationDraft): void | Promise<void>;
}

/** Called when every registry has the app. @publicApi */
export interface OnServiceRegistered {
  onServiceRegistered(lease: Lease): void | Promise<void>;
}

/** Called at shutdown, before the app is taken out of its registries. @publicApi */
export interface BeforeServiceDeregister {
  beforeServiceDeregister(): void | Promise<void>;
}

/** Called at shutdown, when the app was taken out, while it still serves. @publicApi */
export interface OnServiceDeregistered {
  onServiceDeregistered(): void | Promise<void>;
}

/** The names of the hooks. */
export type LifecycleHook =
  keyof BeforeServiceRegister | keyof OnServiceRegistered | keyof BeforeServiceDeregister | keyof OnServiceDeregistered;
