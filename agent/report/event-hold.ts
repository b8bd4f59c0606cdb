/**
 * One XID, two sources: the kernel log tells it at once and in detail, the library a little later.
 * What both tell becomes one finding; what only the library tells (a log that is deaf, or told not
 * to print) becomes one after a short wait. Pure but for its own memory.
 */
import type { Finding } from "../../schema/finding.ts";

/** The log line is written before the event is signalled; the agent may read it a poll later. */
const WAIT_MS = 2_000;
/** One fault of one GPU within this is the same fault, whichever clock stamped it. */
const SAME_MS = 10_000;
/** XIDs remembered from the log: enough for a burst on every GPU of the largest node. */
const REMEMBERED_MAX = 256;

type Seen = { code: number; pci: string | null; monoMs: number; used: boolean };

export class EventHold {
  #waiting: { finding: Finding; monoMs: number }[] = [];
  #seen: Seen[] = [];

  /** Notes what the kernel log told. */
  heard(finding: Finding, monoMs: number): void {
    if (finding.kind !== "xid" || finding.code === null) return;
    this.#seen.push({ code: finding.code, pci: finding.pci, monoMs, used: false });
    if (this.#seen.length > REMEMBERED_MAX) this.#seen.shift();
  }

  /**
   * Takes what the library told. Anything but an XID is only ever told there, and is given back at
   * once.
   */
  offer(findings: readonly Finding[], monoMs: number): Finding[] {
    const xids = findings.filter((finding) => finding.kind === "xid");
    for (const finding of xids) this.#waiting.push({ finding, monoMs });
    return findings.filter((finding) => finding.kind !== "xid");
  }

  /** Those that have waited long enough and that the kernel log did not tell. */
  take(monoMs: number): Finding[] {
    const due: Finding[] = [];
    this.#seen = this.#seen.filter((seen) => monoMs - seen.monoMs < SAME_MS);
    this.#waiting = this.#waiting.filter(({ finding, monoMs: since }) => {
      const match = this.#seen.find((seen) => {
        const place = seen.pci === null || finding.pci === null || seen.pci === finding.pci;
        return !seen.used && seen.code === finding.code && place;
      });
      if (match) match.used = true;
      else if (monoMs - since >= WAIT_MS) due.push(finding);
      else return true;
      return false;
    });
    return due;
  }

  /** True while something waits. */
  get waiting(): boolean {
    return this.#waiting.length > 0;
  }
}
