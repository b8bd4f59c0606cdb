/** Rendering: the values reach the command whole, by template and by environment. */
import { afterAll, describe, expect, test } from "bun:test";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { $ } from "bun";
import fc from "fast-check";
import type { InstanceId } from "../../schema/id.ts";
import { TEMPLATE_VARIABLES, type TemplateVariable, variableEnv } from "../template/variable.ts";
import { makeJob } from "../../test/fixture/ssh/job-fake.ts";
import { completeValues, folderOf, instanceDirectory, renderCommands } from "./render.ts";

const NAMES = Object.keys(TEMPLATE_VARIABLES) as TemplateVariable[];
const folder = mkdtempSync(join(tmpdir(), "navarch-render-"));
const login = { folder, port: 22, privateKey: "", hostKey: { kind: "first-use" } } as const;
afterAll(() => rmSync(folder, { recursive: true }));

function scriptOf(job: ReturnType<typeof makeJob>): string {
  const rendered = renderCommands(job, completeValues(job, "x64", null));
  if (!rendered.ok) throw new Error("it does not render");
  return rendered.value[0]?.script ?? "";
}

describe("renderCommands()", () => {
  test("carries any value unharmed through template and environment", async () => {
    const hostile = fc.constantFrom("$(id)", "`id`", "'; exit 1 #", '"', "\\", "a\nb", "EOF\n", "");
    const value = fc
      .oneof(fc.string({ unit: "binary", maxLength: 30 }), hostile)
      .filter((one) => !one.includes("\0") && one.isWellFormed());
    const record = fc.record(Object.fromEntries(NAMES.map((name) => [name, value])));
    for (const values of fc.sample(record, { numRuns: 12, seed: 5 })) {
      const commands = [
        NAMES.flatMap((name) => [
          `printf '%s\\0' {{if .${name}}}{{.${name}}}{{else}}''{{end}}`,
          `printf '%s\\0' "$${variableEnv(name)}"`,
        ]).join("\n"),
      ];
      const script = scriptOf(makeJob(login, { commands, values }));
      const printed = await $`sh < ${new Response(script)}`.quiet().text();
      const expected = NAMES.flatMap((name) => [values[name] ?? "", values[name] ?? ""]);
      expect(printed.split("\0").slice(0, -1)).toEqual(expected);
    }
  });

  test("names the command that does not parse", () => {
    const job = makeJob(login, { commands: ["true", "{{.Pol}}"] });
    const answer = renderCommands(job, {});
    expect(answer.ok ? null : answer.end).toMatchObject({
      cause: "template",
      retry: "never",
      error: "setup_commands[1]: unknown variable {{.Pol}} at line 1, column 3",
    });
  });
});

describe("completeValues()", () => {
  const agent = { x64: { url: "/releases/x", sha256: "aa", path: null }, arm64: null };
  test("completes what is known only at the machine, and keeps what is given", () => {
    const job = makeJob(login, { agent, credential: { path: "/t", value: "v" } });
    const values = completeValues(job, "x64", "https://10.0.0.9:50051");
    expect(values.ControlPlane).toBe("https://10.0.0.9:50051");
    expect(values.AgentURL).toBe("https://10.0.0.9:50051/releases/x");
    expect([values.AgentSHA256, values.TokenFile]).toEqual(["aa", "/t"]);
    expect(completeValues(job, "arm64", null).AgentURL).toBe(undefined);
    const given = { ...job.values, AgentURL: "https://mirror/agent" };
    expect(completeValues({ ...job, values: given }, "x64", null).AgentURL).toBe(given.AgentURL);
  });
});

describe("folderOf()", () => {
  test("changes with what the commands do, not with the join token", () => {
    const job = makeJob(login, { commands: ["a", "b"] });
    const folder = folderOf(job, { Pool: "p" });
    expect(folder).toMatch(/^[0-9a-f]{16}$/);
    expect(folderOf(job, { Pool: "p", KubernetesJoinToken: "t" })).toBe(folder);
    expect(folderOf(job, { Pool: "q" })).not.toBe(folder);
    expect(folderOf(job, { Region: "p" })).not.toBe(folder);
    expect(folderOf({ ...job, commands: ["ab"] }, { Pool: "p" })).not.toBe(folder);
  });
});

test("folderOf() changes with a release only for commands that fetch its agent", () => {
  const differs = (command: string): boolean => {
    const job = makeJob(login, { commands: ["mkfs /dev/x", command] });
    const of = (sum: string) => folderOf(job, { Pool: "p", AgentURL: sum, AgentSHA256: sum });
    return of("1") !== of("2");
  };
  const fetching = ["{{.AgentURL}}", "{{ if $.AgentSHA256 }}x{{end}}", 'curl "$NAVARCH_AGENT_URL"'];
  expect(fetching.map(differs)).toEqual([true, true, true]);
  expect(differs("systemctl start x")).toBe(false);
});

describe("instanceDirectory()", () => {
  const job = makeJob(login);
  test("is one plain folder for each instance, whatever its id", () => {
    const ids = fc.string({ unit: "binary", minLength: 1, maxLength: 40 });
    fc.assert(
      fc.property(ids, ids, (one, other) => {
        const at = (instance: string) =>
          instanceDirectory("/m", { ...job, instance: instance as InstanceId });
        expect(at(one)).toMatch(/^\/m\/[A-Za-z0-9._-]+-[0-9a-f]{8}$/);
        expect(at(one) === at(other)).toBe(one === other);
      }),
    );
  });
});
