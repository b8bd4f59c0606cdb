/**
 * `navarch doctor agentpool`: asks the API server for what keeps an AgentPool from its workers. It
 * asks no control plane, so it answers while none runs.
 */
import { NAMESPACE, readPoolName } from "../agentpool-name.ts";
import type { Command, Context, Outcome } from "../command.ts";
import type { Diagnosis } from "../diagnosis-row.ts";
import { EXIT, failure, usage } from "../failure.ts";
import { textFlag } from "../flag.ts";
import { isNamespace } from "../manifest.ts";
import { show } from "../show.ts";
import { formatDiagnoses } from "./doctor.ts";
import { VERSION } from "../../schema/version.ts";

export const doctorAgentPool: Command = {
  name: ["doctor", "agentpool"],
  usage: "[<agentpool>]",
  summary: "check what AgentPools need in the cluster",
  examples: [
    "navarch doctor agentpool",
    "navarch doctor agentpool gpu-pool --account velda/velda-apiserver",
  ],
  more:
    "Asks the API server, not the control plane: the definition, permissions, labels and rules,\n" +
    "a dry run of the pod, ConfigMaps that the template names, and why pods do not start.\n" +
    "Permissions are those of the kubeconfig, or with --account those of a control plane.\n" +
    "Exit 1 if anything failed; warnings do not count.",
  flags: [
    {
      ...NAMESPACE,
      value: "NS[,NS]",
      help: "namespaces of the AgentPools (default all; of a name, default)",
    },
    textFlag("account", "NS/NAME", "ServiceAccount of the control plane"),
    textFlag("kubeconfig", "FILE", "kubeconfig (default: as kubectl finds it)"),
    textFlag("context", "NAME", "kubeconfig context to use"),
  ],
  words: { min: 0, max: 1 },
  reach: "offline",
  run: diagnose,
};

async function diagnose(context: Context): Outcome {
  const { flags, words, world } = context;
  const [given] = words;
  const named = given === undefined ? null : readPoolName(flags, given);
  if (named?.ok === false) return named;
  const namespaces = named === null ? listOf(flags.text("namespace")) : [named.namespace];
  const wrong = namespaces.find((one) => !isNamespace(one));
  if (wrong !== undefined) return usage(`--namespace: ${JSON.stringify(wrong)} is no namespace`);
  const account = readAccount(flags.text("account"));
  if (account === "bad") return usage("--account: expected NAMESPACE/NAME of a ServiceAccount");
  const { openTransport, REAL_CLOCK } = await import("../../reconciler/kubernetes/connect.ts");
  const { openClient } = await import("../../reconciler/kubernetes/client.ts");
  const { examineAgentPools } = await import("../agentpool-examine.ts");
  const place = { kubeconfig: flags.text("kubeconfig"), context: flags.text("context") };
  const settings = { enabled: true, ...place, isEnvironmentFirst: true };
  const opened = await openTransport(settings, world.env, { homeFolder: world.home });
  if (opened.kind !== "ok") {
    const why = opened.kind === "failed" ? opened.message : "no cluster is configured";
    return failure(EXIT.failed, "no_cluster", `${why}: pass --kubeconfig, or set KUBECONFIG`);
  }
  for (const warning of opened.warnings) world.err(`warning: ${warning}\n`);
  const clock = REAL_CLOCK;
  const userAgent = `navarch-doctor/${VERSION}`;
  const api = openClient(opened.transport, { clock, count: () => undefined, userAgent });
  let rows: Diagnosis[];
  try {
    rows = await examineAgentPools({ api, clock, account, namespaces, name: named?.name ?? null });
  } finally {
    // An open connection would keep the process running.
    api.close();
  }
  await show(context, {
    data: rows,
    names: rows.map((one) => `${one.check}: ${one.outcome}`),
    human: (_wide, style) => formatDiagnoses(rows, style),
  });
  return rows.some((one) => one.outcome === "fail") ? EXIT.failed : EXIT.done;
}

const listOf = (text: string | null): string[] =>
  text === null ? [] : [...new Set(text.split(",").map((one) => one.trim()))];

function readAccount(text: string | null): { namespace: string; name: string } | null | "bad" {
  if (text === null) return null;
  const [namespace = "", name = "", ...more] = text.split("/");
  const isRight = isNamespace(namespace) && /^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$/.test(name);
  return isRight && more.length === 0 ? { namespace, name } : "bad";
}
