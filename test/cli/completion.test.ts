/**
 * The completion scripts, run by the shells that they are for.
 */
import { afterAll, beforeAll, describe, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { COMMANDS } from "../../cli/command/catalog.ts";
import { SHELLS } from "../../cli/command/completion.ts";
import { tableOf } from "../../cli/completion.ts";
import { missesPrograms } from "../real/machine/gate.ts";

const folder = mkdtempSync(join(tmpdir(), "navarch-completion-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
/** Ids that a shell must never run. */
const HOSTILE = `gpu-$(touch ${join(folder, "pwned")})`;

beforeAll(() => {
  for (const [shell, format] of Object.entries(SHELLS)) {
    writeFileSync(join(folder, shell), format(tableOf(COMMANDS)));
  }
  const fake = join(folder, "navarch");
  const names = `case $1 in list) echo gpu-1; echo '${HOSTILE}' ;; pool) echo training ;; esac`;
  writeFileSync(fake, `#!/bin/sh\n${names}\n`);
  chmodSync(fake, 0o755);
});

const CAPTURE: Record<string, (words: readonly string[]) => string> = {
  bash: (words) => `source ${folder}/bash
    COMP_WORDS=(${words.map((word) => `'${word}'`).join(" ")})
    COMP_CWORD=${words.length - 1}
    _navarch navarch; printf '%s\\n' "\${COMPREPLY[@]}"`,
  // What the completion system would get: the words themselves, or those of an array "word:text".
  zsh: (words) => `compdef() { : }
    source ${folder}/zsh
    compadd() { shift; print -l -- "$@" }
    _files() { print -l -- FILES }
    _describe() { local -a all; all=("\${(@P)argv[-1]}"); print -l -- "\${(@)all%%:*}" }
    words=(${words.map((word) => `'${word}'`).join(" ")}); CURRENT=${words.length}
    _navarch`,
  fish: (words) =>
    `source ${folder}/fish; complete -C '${words.join(" ")}' | string replace -r '\\t.*' ''`,
};

function complete(shell: string, line: string): string[] {
  const script = CAPTURE[shell]?.(line.split(" ")) ?? "";
  const run = Bun.spawnSync([shell, ...(shell === "zsh" ? ["-f"] : []), "-c", script], {
    env: { PATH: `${folder}:${process.env["PATH"] ?? ""}`, HOME: folder },
  });
  expect(run.stderr.toString()).toBe("");
  return run.stdout.toString().trim().split("\n");
}

const isMissing = await missesPrograms("completion", { zsh: "zsh", fish: "fish" });

const SIM = [
  ...["agents", "cancel", "inject", "interactive", "list", "nodes", "provider-fail", "replay"],
  ...["run", "runs", "submit", "validate", "workflow"],
];

describe.each(["bash", ...(isMissing ? [] : ["zsh", "fish"])])("%s", (shell) => {
  test("offers every first word of the table", () => {
    const words = [...new Set(COMMANDS.map(({ name }) => name[0] ?? ""))];
    expect(complete(shell, "navarch ").sort()).toEqual(words.sort());
  });

  test.each([
    ["navarch pool ", ["hold", "list", "resume", "scale", "status"]],
    ["navarch -o json pool ", ["hold", "list", "resume", "scale", "status"]],
    ["navarch sim ", SIM],
    ["navarch doctor ", ["agentpool", "kubernetes", "providers", "slurm", "store"]],
    ["navarch completion ", ["bash", "fish", "zsh"]],
    ["navarch pool status ", ["training"]],
    ["navarch list --pool ", ["training"]],
  ])("completes %p", (line, words) => {
    expect(complete(shell, line).sort()).toEqual(words);
  });

  test("completes flags of the command, and their values", () => {
    const flags = complete(shell, "navarch drain --");
    expect(flags).toContain("--dry-run");
    expect(flags).toContain("--server");
    expect(flags).not.toContain("--members");
    expect(complete(shell, "navarch list -o ")).toContain("jsonl");
    expect(complete(shell, "navarch list --status ")).toContain("cordoned");
  });

  test("offers ids as data", async () => {
    const ids = complete(shell, "navarch drain ");
    expect(ids).toHaveLength(2);
    expect(ids).toContain("gpu-1");
    expect(await Bun.file(join(folder, "pwned")).exists()).toBe(false);
  });
});
