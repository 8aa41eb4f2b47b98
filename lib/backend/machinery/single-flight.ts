/** Lets those who ask for the same thing at the same time share one answer (a login, a full fetch, a refresh). */
export class SingleFlight<T> {
  private readonly flights = new Map<string, Promise<T>>();

  /** Joins the flight of `key`, or starts it with `operation`. Every caller gets its result or its error. */
  run(key: string, operation: () => Promise<T>): Promise<T> {
    const flying = this.flights.get(key);
    if (flying !== undefined) return flying;
    const flight = (async () => operation())().finally(() => {
      if (this.flights.get(key) === flight) this.flights.delete(key);
    });
    this.flights.set(key, flight);
    return flight;
  }
}
