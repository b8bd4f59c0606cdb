/**
 * Delivers the outbox to the webhook: at least once, each with its own id, tried again with a
 * stored back-off for as long as it takes, up to the configured number of tries.
 *
 * Adapter: network.
 */
import { createHmac } from "node:crypto";
import type { NotifierConfig } from "../../../schema/config.ts";
import type { Clock, Log } from "../../core/clock.ts";
import { backoffMs } from "../../core/fold/outcome.ts";
import { hookUrl, type HookKind } from "../../core/notify.ts";
import type { Delivery, Store } from "../../core/store.ts";

/**
 * Expands `${NAME}` from the environment given at start; an unset name is an error then, not now.
 */
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

/** Milliseconds between looks at the outbox when nothing hints. */
const IDLE_MS = 1_000;

export class Notifier {
  private readonly store: Store;
  private readonly clock: Clock;
  private readonly log: Log;
  private readonly config: Extract<NotifierConfig, { type: "webhook" }>;
  private readonly secret: string | null;
  private stopped = false;
  private cancel: (() => void) | null = null;

  /** URLs and headers come expanded; `secret` signs the body. */
  constructor(from: {
    store: Store;
    clock: Clock;
    log: Log;
    config: Extract<NotifierConfig, { type: "webhook" }>;
    secret: string | null;
  }) {
    this.store = from.store;
    this.clock = from.clock;
    this.log = from.log;
    this.config = from.config;
    this.secret = from.secret;
  }

  start(): void {
    const again = (): void => {
      if (this.stopped) return;
      this.cancel = this.clock.after(IDLE_MS, () => {
        this.deliverDue()
          .catch((error: unknown) =>
            this.log("warn", "the outbox cannot be read", { error: String(error) }),
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

  /** One round over what is due, oldest first; deliveries of one node keep their order. */
  async deliverDue(): Promise<void> {
    const blocked = new Set<string>();
    for (;;) {
      const due = (await this.store.deliveries(this.clock.wallMs(), 100)).filter(
        (one) => !blocked.has(one.node),
      );
      if (due.length === 0) return;
      for (const delivery of due) if (!(await this.deliver(delivery))) blocked.add(delivery.node);
    }
  }

  private async deliver(delivery: Delivery): Promise<boolean> {
    const url = hookUrl(this.config, delivery.kind as HookKind);
    if (url === null) {
      await this.store.settleDelivery(delivery.id, { kind: "dropped" });
      return true;
    }
    const problem = await this.post(url, delivery);
    if (problem === null) {
      await this.store.settleDelivery(delivery.id, { kind: "delivered" });
      return true;
    }
    const { attempts, initialMs, maxMs } = this.config.retry;
    if (delivery.attempts + 1 >= attempts) {
      this.log("error", "webhook given up", { kind: delivery.kind, node: delivery.node, problem });
      await this.store.settleDelivery(delivery.id, { kind: "dropped" });
      return true;
    }
    const notBefore = this.clock.wallMs() + backoffMs(delivery.attempts + 1, initialMs, maxMs);
    await this.store.settleDelivery(delivery.id, { kind: "retry", notBefore });
    return false;
  }

  /** `null` when any 2xx came back, else what went wrong. */
  private async post(url: string, delivery: Delivery): Promise<string | null> {
    const headers: Record<string, string> = {
      ...this.config.headers,
      "content-type": "application/json",
      "x-navarch-event-id": String(delivery.id),
    };
    if (this.secret !== null) {
      headers["x-navarch-signature"] =
        `sha256=${createHmac("sha256", this.secret).update(delivery.body).digest("hex")}`;
    }
    try {
      const answer = await fetch(url, {
        method: "POST",
        headers,
        body: delivery.body,
        signal: AbortSignal.timeout(this.config.timeoutMs),
        // A signed body does not follow a stranger; and an error of `fetch` would quote the URL.
        redirect: "manual",
      });
      // What it says beside its status is nobody's, and may be without end.
      await answer.body?.cancel();
      return answer.ok ? null : `status ${answer.status}`;
    } catch (error) {
      return error instanceof Error ? error.message : String(error);
    }
  }
}
