/**
 * C71, A13: `helm-deploy.sh` with helm and kubectl that record their arguments: which values it
 * takes, that the context is passed on and never switched, and when it fails.
 */
import { afterAll, beforeEach, expect, test } from "bun:test";
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { ROOT } from "../../build/product.ts";

const GUIDE = join(ROOT, "deploy/guide/kai");
const folder = mkdtempSync(join(tmpdir(), "navarch-helm-"));
const log = join(folder, "argv");
const PRODUCTION = ["--context=c1", "--registry=r", "--tag=v1", "--env=production"];

afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** `kubectl` prints the replicas that are ready and wanted, and fails where `fails` matches. */
function record(counts = "3 3", fails = "^$"): void {
  writeFileSync(log, "");
  const script = (body: string) =>
    `#!/bin/sh\necho "\${0##*/} $*" >>"${log}"\necho "$*" | grep -qE '${fails}' && exit 1\n${body}`;
  const print = `case "$*" in *jsonpath*) echo "${counts}" ;; esac\nexit 0\n`;
  for (const [name, body] of [
    ["helm", "exit 0\n"],
    ["kubectl", print],
    ["sleep", "exit 0\n"],
  ] as const) {
    writeFileSync(join(folder, name), script(body));
    chmodSync(join(folder, name), 0o755);
  }
}

beforeEach(() => record());

function deploy(...words: string[]) {
  const env = { PATH: `${folder}:${process.env["PATH"] ?? ""}`, HOME: folder };
  const ran = Bun.spawnSync(["./helm-charts/helm-deploy.sh", ...words], { cwd: GUIDE, env });
  const lines = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => line !== "");
  return { code: ran.exitCode, err: ran.stderr.toString(), lines };
}

test("A13, C71: production takes its values, its images and the context it is given", () => {
  const { code, err, lines } = deploy(...PRODUCTION, "--release=kai-production");
  expect([code, err]).toEqual([0, ""]);
  const upgrade = lines.find((line) => line.includes(" upgrade ")) ?? "";
  expect(upgrade).toContain("values-production.yaml");
  expect(upgrade).toContain("--atomic --wait");
  expect(upgrade).toContain("--history-max 10");
  expect(upgrade).toContain("coordinator.image.repository=r/navarch/control-plane");
  expect(upgrade).toContain("coordinator.image.tag=v1");
  expect(
    lines.filter((line) => !/^(helm --kube-context|kubectl --context) c1 /.test(line)),
  ).toEqual([]);
  expect(lines.join("\n")).not.toContain("use-context");
  expect(lines.at(-1)).toContain("get deployments,services");
});

test.each([
  ["--env=moon", "expected staging or production"],
  ["--enf=staging", "unknown option --enf=staging"],
  ["--release=x", "--env is missing"],
  ["--rollback=three", "expected a whole number"],
  ["--health-threshold=101", "expected 0 to 100"],
  ["--list-versions", "--release is missing"],
])("A13, C71: %s fails before anything is called", (word, message) => {
  const { code, err, lines } = deploy(word);
  expect([code, lines]).toEqual([1, []]);
  expect(err).toContain(message);
});

test("C71: without a context the current one is used, and none is named", () => {
  const { lines } = deploy("--env=staging", "--release=kai-staging");
  expect(lines.join("\n")).not.toMatch(/--context|--kube-context/);
  expect(lines.some((line) => line.includes("values-staging.yaml"))).toBe(true);
});

test("C71: the guide's further command lines", () => {
  expect(deploy("--list-versions", "--release=kai-production").lines).toEqual([
    "helm history kai-production --namespace kai-system",
  ]);
  record();
  const { lines } = deploy("--context=c", "--env=production", "--release=k", "--rollback=3");
  expect(lines[0]).toStartWith("helm --kube-context c rollback k 3 --namespace kai-system --wait");
  record();
  expect(deploy("--list-releases").lines).toEqual(["helm list --all-namespaces"]);
  record();
  const dry = deploy("--env=staging", "--dry-run").lines;
  expect(dry).toHaveLength(1);
  expect(dry[0]).toContain("--dry-run=server");
});

test("C71: a deployment below the threshold, or without its Secret, is no success", () => {
  record("1 3");
  const few = deploy(...PRODUCTION);
  expect([few.code, few.err]).toEqual([
    1,
    "helm-deploy.sh: coordinator-service has 1 of 3 replicas ready, below 95 %\n",
  ]);
  record("1 3");
  expect(deploy(...PRODUCTION, "--health-threshold=30").code).toBe(0);
  record("3 3", "rollout status");
  expect(deploy(...PRODUCTION).err).toContain("has not rolled out");
  record("3 3", "get secret");
  const locked = deploy(...PRODUCTION);
  expect([locked.code, locked.lines.some((line) => line.includes("upgrade"))]).toEqual([1, false]);
  expect(locked.err).toContain("Secret navarch-credentials is missing in namespace kai-system");
});

test("C71: a canary is watched while the rollout pauses, and rolled back where it fails", () => {
  const words = [...PRODUCTION, "--canary", "--canary-time=2", "--canary-weight=34"];
  const fine = deploy(...words);
  expect([fine.code, fine.err]).toEqual([0, ""]);
  const steps = fine.lines.flatMap(
    (line) => /maxSurge":"34%|rollout (?:pause|resume)/.exec(line) ?? [],
  );
  expect(steps).toEqual(['maxSurge":"34%', "rollout pause", "rollout resume"]);
  record("2 3");
  const bad = deploy(...words);
  expect(bad.code).toBe(1);
  expect(bad.err).toContain("the canary failed; the release before it is back");
  expect(bad.lines.at(-1)).toContain("rollback kai-production --namespace kai-system");
});
