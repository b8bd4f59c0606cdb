/** Reads what nodes use now from `metrics.k8s.io`, if the cluster serves it. */
import type { Clock } from "../../core/clock.ts";
import type { KubeApi } from "../api.ts";
import { readList as readAll } from "../call.ts";
import { readObject } from "../read-field.ts";
import { at, quantities } from "./resources.ts";

const PATH = "/apis/metrics.k8s.io/v1beta1/nodes";
const CALL_MS = 2_000;
/** Its server samples each 15 s (metrics-server, `--metric-resolution`). */
const FRESH_MS = 10_000;
const ABSENT_MS = 60_000;

export type Measured = { cpu: number; memory: number };

export class Measure {
  readonly #ports: { api: KubeApi; clock: Clock };
  #last: { untilMs: number; value: Measured | null } | null = null;
  #asking: Promise<Measured | null> | null = null;

  constructor(ports: { api: KubeApi; clock: Clock }) {
    this.#ports = ports;
  }

  /** In cores and bytes over all nodes; `null`: nothing measures it. */
  used(): Promise<Measured | null> {
    const last = this.#last;
    if (last !== null && this.#ports.clock.monoMs() < last.untilMs) {
      return Promise.resolve(last.value);
    }
    this.#asking ??= this.#ask().finally(() => (this.#asking = null));
    return this.#asking;
  }

  async #ask(): Promise<Measured | null> {
    const { api, clock } = this.#ports;
    const read = (json: unknown) => quantities(readObject(json)["usage"]);
    const answer = await readAll(api, PATH, {}, { timeoutMs: CALL_MS, read });
    // A server that has no sample yet answers with an empty list.
    const isKnown = answer.kind === "ok" && answer.items.length > 0;
    const value = isKnown
      ? {
          cpu: answer.items.reduce((sum, one) => sum + at(one, "cpu"), 0),
          memory: answer.items.reduce((sum, one) => sum + at(one, "memory"), 0),
        }
      : null;
    const untilMs = clock.monoMs() + (isKnown ? FRESH_MS : ABSENT_MS);
    this.#last = { untilMs, value };
    return value;
  }
}
