/** Readiness of a leader and of a standby: lists the reasons why it is not ready. */
import type { Clock } from "../../core/clock.ts";
import type { Ingest } from "../../runtime/ingest.ts";
import type { Reconciler } from "../../runtime/loop.ts";
import type { Store } from "../../core/store.ts";
import type { Forward } from "./forward.ts";

/** After this time a provider that cannot be listed no longer prevents readiness. */
const ADOPT_MS = 60_000;
/** A probe of the store is a write, and callers are anonymous: at most one a second. */
const PROBE_MS = 1_000;

export function openReadiness(from: {
  reconciler: Reconciler;
  ingest: Ingest;
  store: Store;
  clock: Clock;
}): () => Promise<string[]> {
  const { reconciler, ingest, store, clock } = from;
  const startedMono = clock.monoMs();
  let probed: { atMono: number; answer: ReturnType<Store["probe"]> } | null = null;
  return async () => {
    const out: string[] = [];
    const failure = reconciler.failure();
    if (failure !== null) out.push(`loop: ${failure}`);
    const mono = clock.monoMs();
    if (probed === null || mono - probed.atMono >= PROBE_MS) {
      probed = { atMono: mono, answer: store.probe() };
    }
    const answer = await probed.answer;
    if (!answer.ok) out.push(`store: ${answer.message}`);
    const problem = ingest.problem();
    if (problem !== null) out.push(`ingest: ${problem}`);
    if (!reconciler.hasAdopted() && mono - startedMono < ADOPT_MS) {
      out.push("adoption: the first listing of every provider is not finished");
    }
    return out;
  };
}

/** A standby with an older copy is not ready. */
const COPY_MS = 10_000;

/** A standby is ready while it can show the fleet and forward requests; not during a take-over. */
export function openStandbyReadiness(from: {
  forward: Forward;
  copyAgeMs(): number;
  /** Why it could not take over when it tried. */
  unfit(): string | null;
}): () => Promise<string[]> {
  return async () => {
    const out: string[] = [];
    const ageMs = from.copyAgeMs();
    if (ageMs > COPY_MS) out.push(`store: not read for ${Math.round(ageMs / 1_000)} s`);
    const unfit = from.unfit();
    if (unfit !== null) out.push(`standby: cannot take the lead: ${unfit}`);
    const problem = await from.forward.problem();
    if (problem !== null) out.push(`standby: ${problem}`);
    return out;
  };
}
