/** Keys of `provisioners`: where pools are made from objects of a cluster. */
import { duration, own, text } from "./field.ts";

export const GKE = {
  project: text("Project of the cluster.", { required: "" }),
  location: text("Its region or zone.", { required: "" }),
  cluster_name: text("Its name.", { required: "" }),
};

/** AgentPools of a Kubernetes cluster. */
export const POOLS_FROM_KUBERNETES = {
  namespace: own("Namespaces whose AgentPools are served.", "text or list of text", {
    or: "all namespaces, as an empty text",
    restart: true,
  }),
  kubeconfig: text("Kubeconfig file; the cluster of `kubernetes` otherwise.", { restart: true }),
  context: text("Context of the kubeconfig.", { restart: true }),
  gke: own("A cluster of Google Kubernetes Engine instead.", "mapping", {
    inner: () => GKE,
    restart: true,
  }),
  sync_interval: duration("Time between two comparisons of all pools, besides the watch.", {
    min: 1_000,
    max: 600_000,
    default: 60_000,
    restart: true,
  }),
};

export const PROVISIONER = {
  kubernetes: own("AgentPools of a cluster, and their worker pods.", "mapping", {
    required: true,
    inner: () => POOLS_FROM_KUBERNETES,
    restart: true,
  }),
};
