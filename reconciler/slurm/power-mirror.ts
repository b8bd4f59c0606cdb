/**
 * Shows power saving what became of its resumes: the machine's address, or DOWN with the reason
 * why there is none. Reads the nodes directly before it writes. `scontrol` cannot refuse a stale
 * write, so a node that registered in those milliseconds loses the jobs that it has just got.
 */
import type { Clock, Log } from "../core/clock.ts";
import type { SlurmClient, SlurmNodeChange } from "../core/slurm/client.ts";
import type { SlurmNode } from "../core/slurm/object.ts";
import { isLeftDrained, type PowerMark } from "../core/slurm/power-save.ts";
import { formatReason, parseReason } from "../core/slurm/reason.ts";

export type PowerMirrorPorts = {
  client: SlurmClient;
  clock: Clock;
  log: Log;
  /** Takes rows that are newer than the last list; `askedAt` is monotonic. */
  note(rows: readonly SlurmNode[], askedAt: number): void;
};

/** In the place of a repair's session. */
const SESSION = "power";
const CODE = "NO_MACHINE";
/** After a call that failed; what is wanted is compared again then. */
const RETRY_MS = 5_000;
/** Below the lease's expiry: a process that was frozen since its read may not lead any more. */
const SEND_WITHIN_MS = 7_000;
/** A name that the list does not show is looked for again after so long. */
const ABSENT_MS = 60_000;

export class PowerMirror {
  readonly #ports: PowerMirrorPorts;
  #marks: readonly PowerMark[] = [];
  /** What was confirmed of a NodeName, and when (monotonic). */
  readonly #confirmed = new Map<string, { key: string; at: number }>();
  #isRunning = false;
  #restUntil = 0;
  #term = 0;

  constructor(ports: PowerMirrorPorts) {
    this.#ports = ports;
  }

  /** `rows`: the last list, which shows for free what is no longer as it was confirmed. */
  show(marks: readonly PowerMark[], rows: (name: string) => SlurmNode | undefined): void {
    this.#marks = marks;
    const wanted = new Set(marks.map(({ name }) => name));
    for (const name of this.#confirmed.keys()) if (!wanted.has(name)) this.#confirmed.delete(name);
    const now = this.#ports.clock.monoMs();
    if (this.#isRunning || now < this.#restUntil) return;
    const due = marks.filter((mark) => !this.#isConfirmed(mark, rows(mark.name), now));
    if (due.length === 0) return;
    this.#isRunning = true;
    void this.#write(due).finally(() => (this.#isRunning = false));
  }

  /** NodeNames whose next state is awaited. */
  awaited(): string[] {
    return this.#marks.flatMap(({ name }) => (this.#confirmed.has(name) ? [] : name));
  }

  /** Writes that were not sent yet are not sent any more. */
  stop(): void {
    this.#term += 1;
    this.#marks = [];
    this.#confirmed.clear();
  }

  #isConfirmed(mark: PowerMark, row: SlurmNode | undefined, now: number): boolean {
    const before = this.#confirmed.get(mark.name);
    if (before?.key !== keyOf(mark)) return false;
    return row === undefined ? now - before.at < ABSENT_MS : changeFor(mark, row) === null;
  }

  async #write(due: readonly PowerMark[]): Promise<void> {
    const { client, clock, log } = this.#ports;
    const term = this.#term;
    // All of them: one name that Slurm does not know would be refused with the others.
    const askedAt = clock.monoMs();
    const answer = await client.nodes();
    if (answer.kind !== "ok") {
      this.#restUntil = clock.monoMs() + RETRY_MS;
      return;
    }
    this.#ports.note(answer.value, askedAt);
    const rows = new Map(answer.value.map((row) => [row.name, row]));
    for (const mark of due) {
      const row = rows.get(mark.name);
      const change = row === undefined ? null : changeFor(mark, row);
      if (term !== this.#term || clock.monoMs() - askedAt > SEND_WITHIN_MS) return;
      if (change === null) {
        this.#confirm(mark);
        continue;
      }
      const said = await client.update([mark.name], change);
      if (said.kind === "ok") {
        this.#tellUndrain(mark, row);
        continue;
      }
      this.#restUntil = clock.monoMs() + RETRY_MS;
      const fields = { node: mark.name, wanted: mark.kind, error: said.message };
      log("warn", "Slurm does not take a node's power state", fields);
    }
  }

  #tellUndrain({ kind, name }: PowerMark, row: SlurmNode | undefined): void {
    if (kind !== "undrain") return;
    const what = "released our drain of a name without a machine in Slurm";
    this.#ports.log("info", what, { node: name, reason: row?.reason ?? "" });
  }

  #confirm(mark: PowerMark): void {
    const at = this.#ports.clock.monoMs();
    this.#confirmed.set(mark.name, { key: keyOf(mark), at });
  }
}

function keyOf(mark: PowerMark): string {
  if (mark.kind === "address") return `address ${mark.address}`;
  return mark.kind === "down" ? `down ${mark.why}` : mark.kind;
}

/** The next write; `null` = none is needed, or it would hit a node in use. */
export function changeFor(mark: PowerMark, row: SlurmNode): SlurmNodeChange | null {
  const has = (...flags: string[]): boolean => flags.some((flag) => row.flags.includes(flag));
  const isOff = has("POWERED_DOWN", "POWERING_DOWN");
  if (mark.kind === "address") {
    return isOff || row.address === mark.address ? null : { address: mark.address };
  }
  const isDown = row.base === "DOWN";
  if (mark.kind === "undrain") {
    if (!isLeftDrained(row)) return null;
    return { state: isDown ? "resume" : "undrain" };
  }
  const isOwn = parseReason(row.reason)?.session === SESSION;
  // DOWN alone would stay "powering up" and run into ResumeTimeout.
  if (isDown && isOwn && !isOff) return { state: "power_down_force" };
  if (mark.kind === "release") return isDown && isOwn ? { state: "resume" } : null;
  if (isDown || isOff || !has("POWERING_UP", "POWER_UP")) return null;
  return {
    state: "down",
    reason: formatReason({ session: SESSION, code: CODE, text: mark.why }),
  };
}
