/**
 * Throw-away machines as an operator's own: booted by the bed, listed in an inventory, and nothing
 * else is known of them.
 *
 * Adapter: files.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Bed } from "./bed.ts";
import type { Machine } from "./machine.ts";

/**
 * The agent's sandbox has its own mount of /proc, which shows the boot id of this computer: no
 * reboot of a machine changes that one. On real hardware there is no other.
 */
const SEE_BOOT = `set -eu
cd /etc/systemd/system
cat >boot-id.service <<'END'
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/boot_id >/run/boot-id'
END
mkdir -p navarch-node.service.d
cat >navarch-node.service.d/90-throw-away.conf <<'END'
[Unit]
Requires=boot-id.service
After=boot-id.service
[Service]
BindReadOnlyPaths=/run/boot-id:/proc/sys/kernel/random/boot_id
END`;

export const inventoryOf = (bed: Bed): string => join(bed.stateDir, "hosts.yaml");

/** Host names, which are not the machines' ids. */
export const hostNameOf = (index: number): string => `gpu-${index + 1}`;

/** Boots them and writes the inventory. */
export async function openOwned(bed: Bed, count: number): Promise<Machine[]> {
  const machines = await bed.bootAll(count);
  await Promise.all(machines.map((one) => one.must(SEE_BOOT)));
  const hosts = machines.map(({ address, hostKeys }, index) => {
    return { name: hostNameOf(index), address, host_key: hostKeys, rack: `r4-u${index + 1}` };
  });
  writeFileSync(inventoryOf(bed), JSON.stringify({ hosts }));
  return machines;
}

/** Provider and pool of the machines, for a configuration. */
export function ownedPool(bed: Bed, count: number): { providers: unknown; pools: unknown } {
  return {
    providers: { dc: { type: "ssh", inventory: inventoryOf(bed) } },
    pools: [
      {
        name: "lab",
        provider: "dc",
        ssh_user: "ubuntu",
        ssh_private_key_path: bed.keyPath,
        push_agent: true,
        setup_templates: ["agent"],
        scaling: { min_nodes: count, max_nodes: count },
        health: { unhealthy_threshold: 1 },
      },
    ],
  };
}
