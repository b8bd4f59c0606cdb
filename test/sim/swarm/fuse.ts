/**
 * Kills the process before or after one of its next writes or calls: under the store, at the SQL
 * client, and around the cloud and the scheduler. From then on every call of that life fails, and
 * what is out in the world stays out there.
 */
import type { Client } from "@libsql/client";
import type { Provider } from "../../../reconciler/core/provider.ts";
import type { Scheduler } from "../../../reconciler/core/scheduler.ts";
import { aroundProvider } from "../../../reconciler/provider/around.ts";
import { aroundScheduler } from "../../../simulator/engine/around.ts";

export class Dead extends Error {}

/** One life of the process. */
export class Fuse {
  dead = false;
  private left: number | null = null;
  private side: "before" | "after" = "before";

  /** It dies at the n-th call from now. */
  arm(calls: number, side: "before" | "after"): void {
    this.left = calls;
    this.side = side;
  }

  isArmed(): boolean {
    return this.left !== null && !this.dead;
  }

  client(client: Client): Client {
    return new Proxy(client, {
      get: (target, name) => {
        const value: unknown = Reflect.get(target, name);
        if (typeof value !== "function") return value;
        const call = value.bind(target) as (...args: unknown[]) => unknown;
        if (name !== "execute" && name !== "batch" && name !== "migrate") return call;
        return (...args: unknown[]) => this.pass(async () => call(...args));
      },
    });
  }

  provider(provider: Provider): Provider {
    return aroundProvider(provider, (_, call) => this.pass(call));
  }

  scheduler(scheduler: Scheduler): Scheduler {
    return aroundScheduler(scheduler, (_, call) => this.pass(call));
  }

  private async pass<T>(work: () => Promise<T>): Promise<T> {
    if (this.dead) throw new Dead("dead");
    const burns = this.left !== null && --this.left <= 0;
    if (burns && this.side === "before") this.die();
    const result = await work();
    if (burns) this.die();
    return result;
  }

  private die(): never {
    this.dead = true;
    throw new Dead("the process died");
  }
}
