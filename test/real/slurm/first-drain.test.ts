/**
 * docs/slurm-first-drain.md, block by block as it is written, on a host of its own as far as Slurm
 * can tell: process, mount and network namespaces, with the folders of Slurm and munge empty.
 */
import { describe, expect, test } from "bun:test";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../../build/product.ts";
import { blocksOf } from "../../docs/block.ts";
import { HOST_ENV, runCommand } from "../../fixture/machine/command.ts";
import { missesSlurm } from "./package.ts";

const isMissing = await missesSlurm("the first page of Slurm");
const LIMIT_MS = 240_000;
const COLUMNS = 80;

/** Slurm resolves no name where only the loopback's own address exists. */
const HOST = `
for folder in /run /etc/slurm /var/lib/slurm /var/lib/munge /var/log /var/spool; do
  mkdir -p $folder && mount -t tmpfs tmpfs $folder
done
install -d -o munge -g munge -m 700 /var/lib/munge /var/log/munge
ip link set lo up && ip addr add 10.99.0.1/32 dev lo
npm() { echo built before; }
cd "$1"
`;

const page = readFileSync(join(ROOT, "docs/slurm-first-drain.md"), "utf8");

test("the first page of Slurm fits a terminal", () => {
  expect(page.split("\n").filter((line) => line.length > COLUMNS)).toEqual([]);
});

describe.skipIf(isMissing)("the first page of Slurm", () => {
  test(
    "leads from nothing to a drained node, its return, and a person's drain",
    async () => {
      const folder = mkdtempSync(join(tmpdir(), "navarch-first-drain-"));
      try {
        const blocks = blocksOf(page).filter(({ notRun }) => notRun === null);
        expect(blocks.length).toBeGreaterThan(6);
        const text = blocks.map(({ text, line }) => `echo "--- line ${line}"\n${text}`).join("");
        const script = join(folder, "page.sh");
        writeFileSync(script, HOST + text.replaceAll("/tmp/navarch", join(folder, "work")));
        const ran = await runCommand(
          [
            ...["unshare", "--pid", "--fork", "--kill-child", "--mount", "--mount-proc", "--net"],
            ...["--propagation", "private", "timeout", "200", "bash", "-euo", "pipefail", script],
            ROOT,
          ],
          { env: { ...HOST_ENV, NO_COLOR: "1" }, limitMs: LIMIT_MS },
        );
        if (ran.code !== 0) throw new Error(`${ran.code}\n${ran.stdout}\n${ran.stderr}`);
        // What the page shows is what is printed.
        expect(ran.stdout).toMatch(/gpu-2 +1 +training drng/);
        expect(ran.stdout).toMatch(/Reason=navarch:\S+ XID79 on GPU 0/);
        expect(ran.stdout).toMatch(/Next: wait \(drain\): job \d/);
        expect(ran.stdout).toContain("gpu-2 stays drained in Slurm: its slurmd has not registered");
        expect(ran.stdout).toMatch(/slurm.released .*gpu-2 is released in Slurm/);
        expect(ran.stdout).toContain("held by others (maint by alice)");
      } finally {
        rmSync(folder, { recursive: true, force: true });
      }
    },
    LIMIT_MS + 20_000,
  );
});
