/**
 * Reports that `nvidia_peermem`, by which network adapters reach GPU memory, is no longer loaded.
 * Newer kernels and drivers do not need it (dma-buf, Linux 5.12), so it must have been loaded
 * before, and ports must exist.
 */
import { onNode } from "../probe/probe.ts";
import { type HostProbe, lookOf, unread } from "./probe.ts";

export const peermemProbe: HostProbe = {
  name: "peermem",
  reasons: ["peermem"],
  look({ peermem, ports, late }, memory) {
    if (peermem === null) return unread(late.includes("peermem"));
    if (peermem) return lookOf([], { peermem });
    const isMissed = memory.peermem && ports !== null && ports.length > 0;
    if (!isMissed) return lookOf([], {}, "not_supported");
    const condition = onNode({
      kind: "host",
      reason: "peermem",
      severity: "warning",
      message: "the module nvidia_peermem was loaded before and is no longer loaded",
    });
    return lookOf([condition], {});
  },
};
