/** The cluster of a `coreweave` provider. Adapter: reads the kubeconfig. */
import type { ValueOf } from "../../../schema/config/field.ts";
import type { SETTINGS } from "../../../schema/config/provider.ts";
import type { ProviderConfig } from "../../../schema/config.ts";
import { openTransport, type Transport } from "../../kubernetes/connect.ts";

/** A text says why there is no cluster. */
export async function openCoreweaveCluster(
  settings: ProviderConfig["settings"],
  env: Readonly<Record<string, string | undefined>>,
): Promise<Transport | string> {
  const { kubeconfig = null } = settings as Partial<ValueOf<typeof SETTINGS>>;
  const opened = await openTransport({ enabled: true, kubeconfig, context: null }, env);
  if (opened.kind === "ok") return opened.transport;
  if (kubeconfig !== null && opened.kind === "failed") return opened.message;
  return "no cluster: set kubeconfig of the provider, or run in the cluster, or set KUBECONFIG";
}
