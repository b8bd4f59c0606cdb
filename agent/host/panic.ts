/**
 * Did the boot before this one end in a kernel panic? The firmware keeps the last lines, and
 * systemd moves them to disk at the next boot. It is told during the first hour of a boot: a record
 * that stays where it is says nothing new on the second day.
 */
import { onNode } from "../probe/probe.ts";
import { type HostProbe, listed, unread } from "./probe.ts";

const TELL_MS = 3_600_000;
/** The firmware's stamp is the panic's; memory tests of a large machine take this long after it. */
const BEFORE_BOOT_MS = 1_800_000;

export const panicProbe: HostProbe = {
  name: "panic",
  reasons: ["panic"],
  look({ panics, late }, _memory, ctx) {
    if (panics === null) return unread(late.includes("panic"));
    const bootMs = ctx.wallMs - ctx.uptimeMs;
    const recent = panics.filter(({ atMs }) => atMs >= bootMs - BEFORE_BOOT_MS);
    const isTold = recent.length > 0 && ctx.uptimeMs < TELL_MS;
    if (!isTold) return { conditions: [], outcome: "ok", message: null, learned: {} };
    const condition = onNode({
      kind: "host",
      reason: "panic",
      severity: "serious",
      message:
        "the boot before this one ended in a kernel panic: " +
        listed(recent.map(({ name }) => name)),
      metrics: { records: recent.length },
    });
    return { conditions: [condition], outcome: "finding", message: null, learned: {} };
  },
};
