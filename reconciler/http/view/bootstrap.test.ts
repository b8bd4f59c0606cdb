/** What of a set-up's text a reader sees, by role. */
import { afterEach, expect, test } from "bun:test";
import * as v from "valibot";
import { BootstrapAttempt } from "../../../schema/bootstrap.ts";
import type { BootstrapView } from "../../../schema/api-bootstrap.ts";
import { openWorldApp } from "../../../test/world/app.ts";
import { poolYaml, World } from "../../../test/world/world.ts";

let world: World | null = null;
afterEach(async () => {
  await world?.close();
  world = null;
});

const COMMAND = "export HF_TOKEN=hf-abcdefgh; pull --as ann:s3cr3t-word";
function attemptOf(node: string): BootstrapAttempt {
  const empty = { head: "", tail: "", droppedBytes: 0 };
  const step = { startedAt: 1, endedAt: 2, skipped: false, error: null };
  const stdout = { ...empty, head: "pulled 3 layers" };
  const told = { kind: "command", name: "setup_commands[0]", command: COMMAND, exitCode: 0 };
  const probe = { kind: "probe", name: "probe", command: "", exitCode: null };
  return v.parse(BootstrapAttempt, {
    ...{ node, pool: "p", instance: "i-1", attempt: 1, address: "192.0.2.1", hostKey: null },
    ...{ startedAt: 1, endedAt: 2, state: "failed", error: "denied" },
    steps: [
      { ...step, ...probe, stdout: empty, stderr: empty },
      { ...step, ...told, stdout, stderr: empty },
    ],
  });
}

test("a set-up's commands are for operators, and without what looks secret", async () => {
  const w = await World.open(poolYaml(1));
  world = w;
  await w.until(() => w.serving().length === 1, 120);
  const [id = ""] = w.serving();
  await w.store?.saveBootstrap(attemptOf(id));
  const a = openWorldApp(w);
  const seen = async (role: string) => {
    const { token } = (await a.call("POST", "/v1/tokens", { role })).body as { token: string };
    const answer = await a.call("GET", `/v1/nodes/${id}/bootstrap`, undefined, token);
    expect(answer.text).not.toContain("hf-abcdefgh");
    expect(answer.text).toContain("pulled 3 layers");
    const page = await a.call("GET", `/fleet/node/${id}`, undefined, token);
    expect(page.text).not.toContain("hf-abcdefgh");
    const [attempt] = (answer.body as unknown as BootstrapView).attempts;
    return attempt?.steps.map(({ command }) => command);
  };
  expect(await seen("viewer")).toEqual(["", "[hidden: a program; operators may read it]"]);
  for (const role of ["operator", "admin"]) {
    expect(await seen(role)).toEqual(["", "export HF_TOKEN=[redacted]; pull --as ann:s3cr3t-word"]);
  }
});
