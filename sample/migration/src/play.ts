import { EurekaClient } from 'nestjs-service-discovery/eureka';
import { EUREKA_URL, SERVICE, STEPS } from './backend.js';

/** An app of this sample that has begun to listen. */
interface Running {
  readonly url: string;
  stop(): Promise<void>;
}

/** What the runner of samples gives: starts an app with variables of its own. */
type Start = (app: string, environment?: Readonly<Record<string, string>>) => Promise<Running>;

const say = (text: string): void => void process.stdout.write(`${text}\n`);
const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Goes on calling the shop, whichever process that is just now, and counts. */
class Customer {
  calls = 0;
  readonly failures: string[] = [];
  private going = true;
  private readonly loop: Promise<void>;

  constructor(public shop: Running) {
    this.loop = this.run();
  }

  /** Resolves when the call is over that goes on now, and those after it go to the other shop. */
  async turnTo(shop: Running): Promise<void> {
    this.shop = shop;
    const before = this.calls;
    while (this.calls < before + 2) await pause(20);
  }

  async stop(): Promise<void> {
    this.going = false;
    await this.loop;
  }

  private async run(): Promise<void> {
    while (this.going) {
      try {
        const answer = await fetch(this.shop.url);
        if (!answer.ok) this.failures.push(`${answer.status} ${await answer.text()}`);
        else await answer.json();
      } catch (error) {
        this.failures.push(String(error));
      }
      this.calls += 1;
      await pause(5);
    }
  }
}

/** Waits until the shop has found all of them. */
async function found(shop: Running, stocks: readonly Running[]): Promise<void> {
  for (;;) {
    const peers = (await (await fetch(`${shop.url}/peers`)).json()) as readonly { readonly url: string }[];
    if (stocks.every(({ url }) => peers.some((peer) => peer.url === url))) return;
    await pause(100);
  }
}

/** The move: at each step every process is replaced by one that is configured for it, as a rolling deployment does. */
export async function play(start: Start): Promise<void> {
  const startStocks = (step: number): Promise<Running[]> =>
    Promise.all(['first', 'second'].map(() => start('stock', { STEP: String(step) })));
  let [stocks, shop] = await Promise.all([startStocks(0), start('shop', { STEP: '0' })]);
  await found(shop, stocks);
  const customer = new Customer(shop);
  say(`${STEPS[0]}: two of ${SERVICE}, and a shop that calls them`);

  for (let step = 1; step < STEPS.length; step += 1) {
    const [newStocks, newShop] = await Promise.all([startStocks(step), start('shop', { STEP: String(step) })]);
    await Promise.all([found(shop, newStocks), found(newShop, newStocks)]);
    await customer.turnTo(newShop);
    await Promise.all([shop, ...stocks].map((old) => old.stop()));
    [stocks, shop] = [newStocks, newShop];
    say(`${STEPS[step]}: ${customer.calls} calls so far, ${customer.failures.length} failed`);
  }
  await customer.stop();
  say(`calls ${customer.calls}, failed ${customer.failures.length}`);
  for (const failure of new Set(customer.failures)) say(failure);

  const client = new EurekaClient({ serviceUrls: EUREKA_URL, shouldRegister: false, logLevel: 'silent' });
  await client.start();
  say(`left in Eureka: ${client.applications.getApplication(SERVICE).instances.length}`);
  await client.stop();
  await Promise.all([shop, ...stocks].map((app) => app.stop()));
}
