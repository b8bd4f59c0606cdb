/**
 * Keeps `verdict.json` current: what `slurm-healthcheck` judges without asking this process. It is
 * replaced when its content changes, and touched while the agent makes progress.
 *
 * Adapter: the file's times.
 */
import { utimesSync } from "node:fs";
import { join } from "node:path";
import type { Finding } from "../../schema/finding.ts";
import { LAST_VERDICT_FILE, LastVerdict } from "../../schema/last-verdict.ts";
import { LIMIT } from "../../schema/limit.ts";
import { VERDICTS } from "../../schema/policy.ts";
import type { Clock } from "../port/port.ts";
import type { Identity } from "../report/part.ts";
import type { AgentView } from "../report/view.ts";
import { parseNote, type StateFiles } from "../spool/state-file.ts";

/** A fault is in the file this long after its line in the kernel log. */
const LOOK_MS = 500;
/** A third of what the reader takes for life. */
const TOUCH_MS = 20_000;
/** Three heartbeats at the usual cadence: then the control plane counts as silent. */
export const HEARD_MS = 90_000;
/** A reply has the verdict from before its report was folded: two heartbeats settle it. */
const SETTLE_MS = 90_000;

export type LastVerdictParts = {
  clock: Pick<Clock, "monoMs" | "after">;
  view: () => AgentView;
  files: StateFiles;
  /** Where `files` are; `null` keeps nothing. */
  directory: string | null;
  identity: Pick<Identity, "nodeId" | "bootId">;
  pool: string;
  labels: Record<string, string>;
  /** Why the agent is stuck, or `null`. */
  stuck: () => string | null;
};

export class LastVerdictFile {
  readonly #parts: LastVerdictParts;
  /** Evidence of this boot from before the agent's start. */
  #carried: readonly Finding[];
  /** Judged as harmless by the control plane. */
  readonly #settled = new WeakSet<Finding>();
  #newest: Finding | undefined;
  #newestMs = -Infinity;
  #written = "";
  #touchedMs = -Infinity;

  constructor(parts: LastVerdictParts) {
    this.#parts = parts;
    const last = parseNote(LastVerdict, parts.files.load(LAST_VERDICT_FILE));
    this.#carried = last?.boot_id === parts.identity.bootId ? last.findings : [];
    this.#newestMs = parts.clock.monoMs();
  }

  start(): void {
    this.look();
    this.#parts.clock.after(LOOK_MS, () => this.start());
  }

  /** Before the first full check, the file of an earlier process grows old. */
  look(): void {
    const { clock, files, stuck, view } = this.#parts;
    const nowMs = clock.monoMs();
    const text = this.#format(view(), nowMs);
    if (text === null || stuck() !== null) return;
    if (text === this.#written && nowMs - this.#touchedMs < TOUCH_MS) return;
    const isSame = text === this.#written && this.#touch();
    if (!isSame && files.save(LAST_VERDICT_FILE, text) !== null) return;
    this.#written = text;
    this.#touchedMs = nowMs;
  }

  #touch(): boolean {
    const { directory } = this.#parts;
    if (directory === null) return false;
    try {
      const now = new Date();
      utimesSync(join(directory, LAST_VERDICT_FILE), now, now);
      return true;
    } catch {
      return false;
    }
  }

  #format({ gpus, simulated, spool, tally }: AgentView, nowMs: number): string | null {
    const { check, isOutdated, recent } = tally;
    if (check === null) return null;
    const newest = [...recent.values()].at(-1);
    if (newest !== this.#newest) this.#newestMs = nowMs;
    this.#newest = newest;
    const heard = this.#heard(tally.heard, nowMs);
    const isJudged = heard === "healthy" || heard === "degraded";
    if (isJudged && spool.depth === 0 && nowMs - this.#newestMs > SETTLE_MS) {
      for (const finding of recent.values()) this.#settled.add(finding);
      this.#carried = [];
    }
    const known = new Set([...recent.values()].map(keyOf));
    const carried = this.#carried.filter((finding) => !known.has(keyOf(finding)));
    const current = [...recent.values()].filter((finding) => !this.#settled.has(finding));
    const { bootId, nodeId } = this.#parts.identity;
    const note: LastVerdict = {
      version: 1,
      boot_id: bootId,
      simulated,
      node: {
        ...{ id: nodeId, pool: this.#parts.pool, labels: this.#parts.labels },
        gpu_count: gpus.length,
        driver_version: gpus[0]?.driver_version ?? "",
      },
      heard,
      conclusive: check.conclusive && !isOutdated,
      expected_gpus: check.expected_gpus ?? null,
      present_gpus: check.present_gpus,
      active: check.active,
      findings: [...carried, ...current].slice(-LIMIT.heldFindingsMax),
    };
    return JSON.stringify(note);
  }

  #heard(heard: AgentView["tally"]["heard"], nowMs: number): LastVerdict["heard"] {
    if (heard === null || nowMs - heard.monoMs > HEARD_MS) return null;
    return VERDICTS.find((one) => one === heard.verdict) ?? null;
  }
}

function keyOf({ kind, code, reason, gpu_uuid, pci }: Finding): string {
  return `${kind}/${code ?? reason}/${gpu_uuid ?? pci}`;
}
