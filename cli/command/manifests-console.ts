/** `navarch manifests console`: prints what the console and its workloads need in a cluster. */
import { readBounded } from "../bounded-input.ts";
import type { Command, Context } from "../command.ts";
import { EXIT, failure, type Failure, usage } from "../failure.ts";
import { textFlag, textsFlag } from "../flag.ts";
import { isAccount, isNamespace, showManifests } from "../manifest.ts";

export const manifestsConsole: Command = {
  name: ["manifests", "console"],
  usage: "",
  summary: "print namespace, quota, priority classes, accounts and scaling for the console",
  examples: [
    "navarch manifests console | kubectl apply -f -",
    "navarch manifests console --values helm-charts/kai/values-production.yaml",
    "navarch manifests console --account navarch/navarch-control-plane",
    "navarch manifests console --priority-classes classes.json",
  ],
  more:
    "Without --values: the namespace kai-ml with its quota, limits, priority classes, accounts,\n" +
    "the budget and autoscaler of a workload coordinator-service, and rules for an adapter of\n" +
    "custom metrics. With values files of the chart kai it prints what helm would install,\n" +
    "the control plane and its agents included.\n" +
    "The control plane reads the cluster for the console by its own account: --account gives\n" +
    "that account the console's permissions.\n" +
    "With --priority-classes it is refused where another class is the cluster's default, and\n" +
    "says which classes have another value there.",
  flags: [
    textsFlag("values", "FILE", "values of the chart kai, as for helm; a later file wins"),
    textFlag("account", "NAMESPACE/NAME", "control plane's account, which serves the console"),
    textFlag("priority-classes", "FILE", "output of kubectl get priorityclass -o json; - reads it"),
  ],
  words: { min: 0, max: 0 },
  reach: "offline",
  async run(context) {
    const { flags, world } = context;
    const files: { name: string; text: string }[] = [];
    for (const name of flags.texts("values")) {
      const read = await readBounded(name);
      if (!read.ok) return read;
      files.push({ name, text: read.value });
    }
    // Loads a YAML library, which no other command has to wait for.
    const { checkClasses, formatObjects, renderConsole } =
      await import("../../deploy/console/render.ts");
    const server = readAccount(flags.text("account"));
    if (server !== null && "ok" in server) return server;
    const rendered = renderConsole(files.length === 0 ? null : files, server);
    if (!rendered.ok) return usage(rendered.message);
    const { objects, warnings } = rendered;
    const found = await readClasses(context);
    if (!found.ok) return found;
    const { refusal, notes } = checkClasses(objects, found.value);
    if (refusal !== null) return failure(EXIT.refused, "conflict", refusal);
    for (const line of [...warnings, ...notes]) world.err(`warning: ${line}\n`);
    return showManifests(context, formatObjects(objects));
  },
};

type Account = { namespace: string; account: string };

function readAccount(given: string | null): Account | Failure | null {
  if (given === null) return null;
  const [namespace = "", account = "", ...more] = given.split("/");
  if (isNamespace(namespace) && isAccount(account) && more.length === 0) {
    return { namespace, account };
  }
  return usage(`--account ${given}: expected NAMESPACE/NAME of a ServiceAccount`);
}

type Classes = { name: string; value: number; globalDefault: boolean }[];

async function readClasses({ flags }: Context): Promise<{ ok: true; value: Classes } | Failure> {
  const path = flags.text("priority-classes");
  if (path === null) return { ok: true, value: [] };
  const read = await readBounded(path);
  if (!read.ok) return read;
  const expected = "expected the output of kubectl get priorityclass -o json";
  const bad = usage(`--priority-classes ${path}: ${expected}`);
  let list: unknown;
  try {
    list = JSON.parse(read.value);
  } catch {
    return bad;
  }
  const items = isRecord(list) ? list["items"] : null;
  if (!Array.isArray(items)) return bad;
  const classes = items.flatMap((item: unknown) => {
    if (!isRecord(item) || !isRecord(item["metadata"])) return [];
    const { value } = item;
    const name = item["metadata"]["name"];
    if (typeof name !== "string" || typeof value !== "number") return [];
    return [{ name, value, globalDefault: item["globalDefault"] === true }];
  });
  return classes.length === items.length ? { ok: true, value: classes } : bad;
}

const isRecord = (given: unknown): given is Record<string, unknown> =>
  given !== null && typeof given === "object" && !Array.isArray(given);
