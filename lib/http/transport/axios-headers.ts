import type { AxiosHeaders } from 'axios';

/** An `AxiosHeaders` object. Axios's types for CommonJS have the class as a value only. */
export type HeaderBag = InstanceType<typeof AxiosHeaders>;
