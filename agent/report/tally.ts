/**
 * What was found since the start, in numbers: for metrics only. Pure but for its own memory.
 */
import type { Finding } from "../../schema/finding.ts";

export class Tally {
  /** Last XID per GPU UUID. */
  readonly lastXid = new Map<string, Finding>();
  /** Findings by kind. */
  readonly kinds = new Map<string, number>();
  /** What befell the machine around the GPUs, by reason; lines that were not told count too. */
  readonly host = new Map<string, number>();

  note(findings: readonly Finding[]): void {
    for (const finding of findings) {
      const { kind, reason, metrics } = finding;
      this.kinds.set(kind, (this.kinds.get(kind) ?? 0) + 1);
      if (kind === "host" && typeof reason === "string") {
        const repeated = metrics?.["repeated"];
        const times = 1 + (typeof repeated === "number" ? repeated : 0);
        this.host.set(reason, (this.host.get(reason) ?? 0) + times);
      }
      if (kind === "xid" && finding.gpu_uuid !== null && !finding.foreign) {
        this.lastXid.set(finding.gpu_uuid, finding);
      }
    }
  }
}
