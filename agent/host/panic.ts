/**
 * Reports a kernel panic that ended the previous boot, during the first hour of this one. The
 * firmware keeps the last lines, and systemd moves them to disk at the next boot.
 */
import { onNode } from "../probe/probe.ts";
import { type HostProbe, formatList, lookOf, unread } from "./probe.ts";

const REPORT_MS = 3_600_000;
/** A record carries the time of the panic; memory tests of a large machine follow before boot. */
const BEFORE_BOOT_MS = 1_800_000;

export const panicProbe: HostProbe = {
  name: "panic",
  reasons: ["panic"],
  look({ panics, late }, _memory, ctx) {
    if (panics === null) return unread(late.includes("panic"));
    const bootMs = ctx.wallMs - ctx.uptimeMs;
    const recent = panics.filter(({ atMs }) => atMs >= bootMs - BEFORE_BOOT_MS);
    if (recent.length === 0 || ctx.uptimeMs >= REPORT_MS) return lookOf([], {});
    const names = formatList(recent.map(({ name }) => name));
    const condition = onNode({
      kind: "host",
      reason: "panic",
      severity: "serious",
      message: `the boot before this one ended in a kernel panic: ${names}`,
      metrics: { records: recent.length },
    });
    return lookOf([condition], {});
  },
};
