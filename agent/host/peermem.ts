/**
 * The module through which network adapters reach GPU memory. Newer kernels and drivers do without
 * it (dma-buf, Linux 5.12), so it is missed only where it was loaded before and there are ports.
 */
import { onNode } from "../probe/probe.ts";
import { type HostProbe, unread } from "./probe.ts";

export const peermemProbe: HostProbe = {
  name: "peermem",
  reasons: ["peermem"],
  look({ peermem, ports, late }, memory) {
    if (peermem === null) return unread(late.includes("peermem"));
    if (peermem) return { conditions: [], outcome: "ok", message: null, learned: { peermem } };
    const isMissed = memory.peermem && ports !== null && ports.length > 0;
    if (!isMissed) return { conditions: [], outcome: "not_supported", message: null, learned: {} };
    const condition = onNode({
      kind: "host",
      reason: "peermem",
      severity: "warning",
      message: "the module nvidia_peermem was loaded before and is no longer loaded",
    });
    return { conditions: [condition], outcome: "finding", message: null, learned: {} };
  },
};
