/** What is sent to a machine of Slurm, and what is refused before it is contacted. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { HostRequest } from "./host-flag.ts";
import { readSlurmFiles } from "./host-slurm.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-host-slurm-"));
afterAll(() => rmSync(folder, { recursive: true }));

function file(name: string, content: string | Uint8Array): string {
  const path = join(folder, name);
  writeFileSync(path, content);
  return path;
}
const read = (given: Partial<HostRequest>) => {
  const none = { mungeKey: null, slurmConf: null, templates: ["slurm-node"] };
  const answer = readSlurmFiles({ ...none, ...given } as unknown as HostRequest);
  return answer.ok ? answer.value.files.map(({ target }) => target) : answer.message;
};

describe("S45: readSlurmFiles()", () => {
  test("S21: takes a key byte for byte, and no file of another size", () => {
    const bytes = Buffer.from(Array.from({ length: 1_024 }, (_, i) => i % 256));
    const mungeKey = file("key", bytes);
    expect(read({ mungeKey })).toEqual(["/etc/munge/munge.key"]);
    const none = { slurmConf: null, templates: ["slurm-node"] };
    const answer = readSlurmFiles({ ...none, mungeKey } as unknown as HostRequest);
    expect(answer.ok && Buffer.from(answer.value.files[0]?.bytes ?? []).equals(bytes)).toBe(true);
    expect(read({ mungeKey: file("short", "x".repeat(31)) })).toContain("found 31");
    expect(read({ mungeKey: file("long", "x".repeat(65_537)) })).toContain("found 65537");
    expect(read({ mungeKey: join(folder, "none") })).toContain("--munge-key");
    expect(read({ mungeKey: folder })).toContain("--munge-key");
  });

  test("sends the files that slurmd reads, and never a password of slurmdbd", () => {
    const slurmConf = join(folder, "etc");
    mkdirSync(slurmConf);
    expect(read({ slurmConf })).toContain("there is no slurm.conf");
    for (const name of ["slurm.conf", "gres.conf", "slurmdbd.conf", "slurm.conf~", "jwt.key"]) {
      writeFileSync(join(slurmConf, name), "x\n");
    }
    expect(read({ slurmConf })).toEqual(["/etc/slurm/gres.conf", "/etc/slurm/slurm.conf"]);
  });

  test("belongs to the template slurm-node", () => {
    expect(read({})).toEqual([]);
    const mungeKey = file("key2", "x".repeat(64));
    expect(read({ mungeKey, templates: ["agent"] })).toContain("goes with --template slurm-node");
    expect(read({ templates: ["agent"] })).toEqual([]);
  });
});
