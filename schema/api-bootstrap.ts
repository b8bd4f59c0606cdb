/** Responses of the HTTP interface about set-ups over SSH. */

/** One step of a set-up. */
export type BootstrapStepView = {
  kind: string;
  name: string;
  command: string;
  started_at: string;
  /** `null` while it runs. */
  duration_ms: number | null;
  exit_code: number | null;
  stdout: string;
  stderr: string;
  /** Done by an earlier attempt. */
  skipped: boolean;
  error: string | null;
};

export type BootstrapAttemptView = {
  attempt: number;
  instance_id: string;
  address: string;
  host_key: string | null;
  started_at: string;
  ended_at: string | null;
  /** `running`, `done`, `failed`, `interrupted` or `cancelled`. */
  state: string;
  error: string | null;
  steps: BootstrapStepView[];
};

/** `GET /v1/nodes/{id}/bootstrap`; attempts newest first. */
export type BootstrapView = { node_id: string; phase: string; attempts: BootstrapAttemptView[] };
