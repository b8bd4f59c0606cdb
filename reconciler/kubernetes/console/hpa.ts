/**
 * Follows the cluster's HorizontalPodAutoscalers from the start of a term: their events exist only
 * as differences of two looks. A failed look is told to readers and repeated.
 */
import type { Clock } from "../../core/clock.ts";
import type { Asked, Failed } from "../../core/console/cluster.ts";
import { HpaLog } from "../../core/console/hpa-log.ts";
import type { KubeApi } from "../api.ts";
import { readList as readAll } from "../call.ts";
import { explainForbidden } from "../permission.ts";
import { failed, lostAnswer } from "./copies.ts";
import { readHpa } from "./read-hpa.ts";

const PATH = "/apis/autoscaling/v2/horizontalpodautoscalers";
const LOOK_MS = 30_000;
const CALL_MS = 8_000;
/** After a refusal, such as a missing permission or an older API. */
const REFUSED_MS = 60_000;

export class HpaWatch {
  readonly #ports: { api: KubeApi; clock: Clock };
  readonly #log = new HpaLog();
  #looking: Promise<void>;
  #problem: Failed | null = null;
  #cancel: () => void = () => undefined;
  #isClosed = false;

  constructor(ports: { api: KubeApi; clock: Clock }) {
    this.#ports = ports;
    this.#looking = this.#look();
  }

  /** The events so far, once there was a first look; or why the last one failed. */
  async current(): Promise<Asked<HpaLog>> {
    if (this.#isClosed) return failed("unavailable", "this process no longer leads; ask again");
    await this.#looking;
    return this.#problem ?? { kind: "ok", value: this.#log };
  }

  close(): void {
    this.#isClosed = true;
    this.#cancel();
  }

  async #look(): Promise<void> {
    const { api, clock } = this.#ports;
    const answer = await readAll(api, PATH, {}, { timeoutMs: CALL_MS, read: readHpa });
    if (this.#isClosed) return;
    if (answer.kind === "ok") this.#log.take(answer.items, clock.wallMs());
    this.#problem = answer.kind === "ok" ? null : problemOf(answer);
    this.#cancel = clock.after(answer.kind === "refused" ? REFUSED_MS : LOOK_MS, () => {
      this.#looking = this.#look();
    });
  }
}

function problemOf(answer: Exclude<Awaited<ReturnType<typeof readAll>>, { kind: "ok" }>): Failed {
  if (answer.kind === "lost") return lostAnswer(answer.message);
  const why = explainForbidden(answer) ?? answer.message;
  return failed("cluster_unreachable", `cannot list HorizontalPodAutoscalers: ${why}`);
}
