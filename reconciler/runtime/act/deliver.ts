/**
 * Delivers the outbox to the webhook at least once, each delivery with its own id. A failed one is
 * retried with a stored back-off, up to the configured number of attempts.
 *
 * Adapter: network.
 */
import { createHmac } from "node:crypto";
import type { NotifierConfig } from "../../../schema/config.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { backoffMs } from "../../core/turn/backoff.ts";
import { hookUrl, type HookKind } from "../../core/notify.ts";
import type { Delivery, Store } from "../../core/store.ts";

/** Expands `${NAME}` from `env`; `name` is the first one that is not set. */
export function expandEnv(
  text: string,
  env: Record<string, string | undefined>,
): { ok: true; text: string } | { ok: false; name: string } {
  let missing: string | null = null;
  const out = text.replace(/\$\{([A-Za-z_][A-Za-z0-9_]*)\}/g, (_, name: string) => {
    const value = env[name];
    if (value === undefined) missing ??= name;
    return value ?? "";
  });
  return missing === null ? { ok: true, text: out } : { ok: false, name: missing };
}

/** Milliseconds between reads of the outbox. */
const IDLE_MS = 1_000;

type NotifierFrom = {
  store: Store;
  clock: Clock;
  log: Log;
  /** With expanded URLs and headers. */
  config: Extract<NotifierConfig, { type: "webhook" }>;
  /** Signs the body. */
  secret: string | null;
};

export class Notifier {
  private readonly from: NotifierFrom;
  private stopped = false;
  private cancel: (() => void) | null = null;

  constructor(from: NotifierFrom) {
    this.from = from;
  }

  start(): void {
    const again = (): void => {
      if (this.stopped) return;
      this.cancel = this.from.clock.after(IDLE_MS, () => {
        this.deliverDue()
          .catch((error: unknown) =>
            this.from.log("warn", "the outbox cannot be read", { error: String(error) }),
          )
          .finally(again);
      });
    };
    again();
  }

  stop(): void {
    this.stopped = true;
    this.cancel?.();
  }

  /** Delivers what is due, oldest first; deliveries of one node keep their order. */
  async deliverDue(): Promise<void> {
    const blocked = new Set<string>();
    for (;;) {
      const due = (await this.from.store.deliveries(this.from.clock.wallMs(), 100)).filter(
        (one) => !blocked.has(one.node),
      );
      if (due.length === 0) return;
      for (const delivery of due) {
        if (this.stopped) return;
        if (!(await this.deliver(delivery))) blocked.add(delivery.node);
      }
    }
  }

  private async deliver(delivery: Delivery): Promise<boolean> {
    const url = hookUrl(this.from.config, delivery.kind as HookKind);
    if (url === null) {
      await this.from.store.settleDelivery(delivery.id, { kind: "dropped" });
      return true;
    }
    const problem = await this.post(url, delivery);
    if (problem === null) {
      await this.from.store.settleDelivery(delivery.id, { kind: "delivered" });
      return true;
    }
    const { attempts, initialMs, maxMs } = this.from.config.retry;
    if (delivery.attempts + 1 >= attempts) {
      const { kind, node } = delivery;
      this.from.log("error", "webhook given up", { kind, node, problem });
      await this.from.store.settleDelivery(delivery.id, { kind: "dropped" });
      return true;
    }
    const notBefore = this.from.clock.wallMs() + backoffMs(delivery.attempts + 1, initialMs, maxMs);
    await this.from.store.settleDelivery(delivery.id, { kind: "retry", notBefore });
    return false;
  }

  /** `null` after a 2xx status, else the problem. */
  private async post(url: string, delivery: Delivery): Promise<string | null> {
    const headers: Record<string, string> = {
      ...this.from.config.headers,
      "content-type": "application/json",
      "x-navarch-event-id": String(delivery.id),
    };
    if (this.from.secret !== null) {
      headers["x-navarch-signature"] =
        `sha256=${createHmac("sha256", this.from.secret).update(delivery.body).digest("hex")}`;
    }
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers,
        body: delivery.body,
        signal: AbortSignal.timeout(this.from.config.timeoutMs),
        // A signed body must not follow a redirect; the message of "error" would quote the URL.
        redirect: "manual",
      });
      // The body is not used and may be endless.
      await answer.body?.cancel();
      return answer.ok ? null : `status ${answer.status}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
