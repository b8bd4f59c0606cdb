/**
 * Every write to a cluster is in the table of docs/architecture.md: what it follows if it has no
 * operation of its own in the journal, and why it may be repeated.
 */
import { describe, expect, test } from "bun:test";
import { readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import {
  formatPermission,
  JOIN_PERMISSIONS,
  PERMISSIONS,
  podPermissions,
  POOL_PERMISSIONS,
} from "./permission.ts";

const page = readFileSync(join(import.meta.dir, "../../docs/architecture.md"), "utf8");
const [, section = ""] = page.split("## Kubernetes writes outside the journal");
const rows = section
  .split("\n")
  .filter((line) => line.startsWith("| `"))
  .map((line) => line.split("|").slice(1, -1));
const codeIn = (cell = ""): string[] =>
  [...cell.matchAll(/`([^`]+)`/g)].map(([, code = ""]) => code);
const writes = new Set(rows.flatMap(([write]) => codeIn(write)));
const files = new Set(rows.flatMap(([, code]) => codeIn(code)));

/** `"create"` and so on as the verb of a request. */
const SITE = /\bverb: "(?:create|patch|delete)"/;
/** What sends or makes a write; whoever uses one of them writes. */
const WRITERS = [
  "holdCordon",
  "releaseCordon",
  "cordonRequest",
  "releaseRequest",
  "evictPod",
  "deletePod",
  "deleteNode",
  "changeTaints",
  "taintRequest",
  "writeStatus",
  "conditionRequest",
  "labelRequest",
  "createRequest",
  "openJoin",
  "podCreateRequest",
  "podCheckRequest",
  "podDeleteRequest",
  "holdRequest",
  "statusRequest",
];
const USE = new RegExp(`(?<!function )\\b(?:${WRITERS.join("|")})\\b`);
const COMMENT = /^\s*(?:\/?\*|\/\/).*$/gm;

function writersIn(sources: ReadonlyMap<string, string>): string[] {
  const found = [...sources].filter(([, text]) => {
    const code = text.replaceAll(COMMENT, "");
    return SITE.test(code) || USE.test(code);
  });
  return found.map(([name]) => name).sort();
}

/** `navarch doctor kube --kubeconfig`: run by hand, with the account of the caller. */
const BY_HAND = ["client-check.ts", "client-identity.ts"];

const folders = [import.meta.dir, join(import.meta.dir, "../agentpool")];
const paths = folders.flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)));
const sources = new Map(
  paths
    .filter((path) => path.endsWith(".ts") && !path.endsWith(".test.ts"))
    .map((path) => [basename(path), readFileSync(path, "utf8")] as const)
    .filter(([name]) => !BY_HAND.includes(name)),
);

describe("the table of writes outside the journal", () => {
  test("names every file that writes to a cluster, and no other", () => {
    expect(writersIn(sources)).toEqual([...files].sort());
  });

  test("names every write that the shipped roles allow, and no other", () => {
    const set = podPermissions({ namespace: "slurm", name: "slurm-compute" });
    const all = [...PERMISSIONS, ...JOIN_PERMISSIONS, ...POOL_PERMISSIONS, ...set];
    const allowed = all
      .filter(({ verb }) => !["get", "list", "watch"].includes(verb))
      .map(formatPermission);
    expect([...writes].sort()).toEqual([...new Set(allowed)].sort());
  });

  test("notices a new write, and a new caller of one", () => {
    const more = new Map([
      ["a.ts", 'api.call({ verb: "patch", path })'],
      ["b.ts", "await releaseCordon(ports, name, uid)"],
      ["c.ts", 'api.call({ verb: "list", path });\n// as evictPod does\nfunction evictPod() {}'],
    ]);
    expect(writersIn(more)).toEqual(["a.ts", "b.ts"]);
  });

  test("finds every writer that it looks for", () => {
    const all = [...sources.values()].join("\n");
    expect(WRITERS.filter((name) => !all.includes(`function ${name}(`))).toEqual([]);
  });
});

/**
 * A NodePool and a virtual Node are purchases: the journal has the call of the provider's port. A
 * review of rights stores nothing, and a fault is injected by a person, with its row in the audit.
 */
const SPEAKERS = [
  "reconciler/agentpool/",
  "reconciler/kubernetes/",
  "reconciler/provider/call/cluster-inspect.ts",
  "reconciler/provider/coreweave/",
  "reconciler/provider/kwok/",
];

test("no code elsewhere speaks to the API server by itself", () => {
  const root = join(import.meta.dir, "../..");
  const glob = new Bun.Glob("{reconciler,cli,bootstrap,agent,health,schema,systemd}/**/*.ts");
  const wrong = [...glob.scanSync({ cwd: root })].filter((path) => {
    if (SPEAKERS.some((folder) => path.startsWith(folder)) || path.endsWith(".test.ts")) {
      return false;
    }
    return SITE.test(readFileSync(join(root, path), "utf8"));
  });
  expect(wrong).toEqual([]);
});
