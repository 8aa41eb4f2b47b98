import type { ProductName } from '../types.js';
import { consul } from './consul.js';
import { eureka } from './eureka.js';
import { nacos } from './nacos.js';
import { nats } from './nats.js';
import type { Product } from './product.js';
import { zookeeper } from './zookeeper.js';

/** All products by name. */
export const products: Readonly<Record<ProductName, Product>> = { nats, zookeeper, consul, eureka, nacos };
