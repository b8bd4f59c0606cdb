/**
 * When the reconciler ends its activations, seen from outside: a control plane whose service
 * manager asks for very frequent keep-alives sends one after each. Adapter: unix socket, timers.
 */
import { listen } from "../../systemd/listener.ts";

/** Read this often, so an instant is late by at most as much. */
const LOOK_MS = 2;
/** A quarter of it is the least time between two keep-alives: shorter than any activation. */
const WATCHDOG_US = 400;

export class Rounds {
  /** For the control plane. */
  readonly env: Record<string, string>;
  private readonly listener: ReturnType<typeof listen>;
  private readonly timer: Timer;
  private seen: number[] = [];

  constructor() {
    const address = `@navarch-rounds-${process.pid}`;
    this.env = { NOTIFY_SOCKET: address, WATCHDOG_USEC: String(WATCHDOG_US) };
    this.listener = listen(address);
    this.timer = setInterval(() => this.look(), LOOK_MS);
  }

  /** The milliseconds between the activations since the call before. */
  take(): number[] {
    this.look();
    const seen = this.seen;
    this.seen = seen.slice(-1);
    return seen.slice(1).map((at, index) => at - (seen[index] ?? at));
  }

  close(): void {
    clearInterval(this.timer);
    this.listener.close();
  }

  private look(): void {
    const now = performance.now();
    for (let text = this.listener.next(); text !== null; text = this.listener.next()) {
      if (text === "WATCHDOG=1") this.seen.push(now);
    }
  }
}
