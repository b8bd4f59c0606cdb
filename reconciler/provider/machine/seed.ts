/**
 * What one machine finds on its disk that no other has: its name, its address, and what its agent
 * is told of the GPUs it shall make up. The files are copied into the machine before its first
 * boot; where they go is their path. Pure.
 */
import type { Spot } from "./place.ts";
import { CREDENTIAL, KERNEL_LOG } from "./script.ts";

export type SeedOf = {
  name: string;
  spot: Spot;
  gpuCount: number;
  hasCredential: boolean;
};

/** Path inside the machine → content. */
export function formatSeedFiles({
  name,
  spot,
  gpuCount,
  hasCredential,
}: SeedOf): [string, string][] {
  const { address } = spot;
  // Every service of the machine gets these, so that commands of any bootstrap work as written.
  const told = [
    `NAVARCH_KERNEL_LOG=${KERNEL_LOG}`,
    "NAVARCH_FAKE_GPU=1",
    `NAVARCH_GPU_COUNT=${gpuCount}`,
    ...(hasCredential ? [`NAVARCH_AUTH_TOKEN_FILE=${CREDENTIAL}`] : []),
  ];
  const lines = told.map((line) => `DefaultEnvironment="${line}"`);
  return [
    ["etc/hostname", `${name}\n`],
    ["etc/hosts", `127.0.0.1 localhost\n::1 localhost\n${address} ${name}\n`],
    // Nobody answers there, and nothing leaves: look-ups fail at once.
    ["etc/resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"],
    ["etc/systemd/system.conf.d/10-navarch-test.conf", `[Manager]\n${lines.join("\n")}\n`],
  ];
}
