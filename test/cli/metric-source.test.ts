/** `config validate` warns of sources of autoscalers that cannot be read on this machine. */
import { expect, test } from "bun:test";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { navarch } from "./spawn.ts";

test("config validate warns of a program, a token and a file that are not there", async () => {
  const root = mkdtempSync(join(tmpdir(), "navarch-source-"));
  const path = join(root, "navarch.yaml");
  const write = (autoscaler: string): void =>
    writeFileSync(
      path,
      `server: { address: "127.0.0.1:1" }\nproviders: { fake: {} }\npools:\n  - name: p\n    provider: fake
    instance_type: h100-8x\n    scaling: { min_nodes: 1, max_nodes: 2, autoscaler: ${autoscaler} }\n`,
    );
  const validate = async (autoscaler: string) => {
    write(autoscaler);
    const { code, err } = await navarch(["config", "validate", path]);
    return { code, err };
  };
  const plain = join(root, "plain");
  writeFileSync(plain, "", { mode: 0o644 });
  const program = await validate(`{ type: external, source: command, command: ${plain} }`);
  expect(program).toMatchObject({ code: 0, err: expect.stringContaining("is not executable") });
  const http = 'source: http, url: "http://h", pointer: /n';
  const token = await validate(`{ type: external, ${http}, token_env: NOT_SET_HERE }`);
  expect(token.err).toContain("autoscaler.token_env: warning: NOT_SET_HERE: not set");
  const file = await validate(`{ type: external, ${http}, ca_file: ${root}/none }`);
  expect(file.err).toContain("no such file or folder (the size is held while the source cannot");
  expect((await validate(`{ type: external, ${http}, ca_file: ${plain} }`)).err).toBe("");
  rmSync(root, { recursive: true });
});
