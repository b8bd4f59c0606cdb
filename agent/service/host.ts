/**
 * The watch over the machine around the GPUs, on the files of this node.
 * Adapter: /proc, /sys, file systems, the agent's own folder.
 */
import { hostRoots, openHost } from "../host/read.ts";
import { HostWatch, parseHostMemory } from "../host/watch.ts";
import type { Options } from "../option.ts";
import type { Clock } from "../port.ts";
import type { StateFiles } from "../state-file.ts";

const FILE = "host.json";

/**
 * Nothing on a simulated node: the machine that plays it is not the one it stands for. `save` is
 * `null` where only one look is taken, which must not take over what the running agent remembers.
 */
export function openHostWatch(
  options: Options,
  parts: {
    proc: string;
    clock: Clock;
    files: StateFiles;
    save: ((name: string, text: string) => void) | null;
  },
): { host?: HostWatch } {
  const { expectedPorts, fake, hostRoot, hostSys } = options;
  if (fake) return {};
  const { clock, files, proc, save } = parts;
  const host = new HostWatch({
    read: openHost(hostRoots({ proc, hostSys, hostRoot }), clock),
    memory: parseHostMemory(files.load(FILE)),
    save: (memory) => save?.(FILE, JSON.stringify(memory)),
    expectedPorts,
  });
  return { host };
}
