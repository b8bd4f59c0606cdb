/** The cluster and the settings of a `kwok` provider. Adapter: reads the kubeconfig. */
import { resolve } from "node:path";
import type { ValueOf } from "../../../schema/config/field.ts";
import type { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { openTransport, type Transport } from "../../kubernetes/connect.ts";
import { type Types, typesOf } from "./type.ts";

export type KwokSettings = {
  transport: Transport;
  /** As the agents' process opens it, in another folder. */
  kubeconfig: string | null;
  context: string | null;
  types: Types;
  isTainted: boolean;
  runsAgents: boolean;
  stateDir: string | null;
};

/** A text says why there is no cluster. */
export async function readKwokSettings(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
): Promise<KwokSettings | string> {
  const given = settings as Partial<ValueOf<typeof SETTINGS>>;
  const { kubeconfig = null, context = null } = given;
  const opened = await openTransport({ enabled: true, kubeconfig, context }, env);
  if (opened.kind !== "ok") {
    const isNamed = (kubeconfig ?? context) !== null;
    if (isNamed && opened.kind === "failed") return opened.message;
    return "no cluster: set kubeconfig of the provider, or run in the cluster, or set KUBECONFIG";
  }
  const isRelative = kubeconfig !== null && !kubeconfig.startsWith("~/");
  return {
    transport: opened.transport,
    kubeconfig: isRelative ? resolve(kubeconfig) : kubeconfig,
    context,
    types: typesOf(given.types ?? ""),
    isTainted: given.taint === true,
    runsAgents: given.runAgents !== false,
    stateDir: given.stateDir ?? null,
  };
}
