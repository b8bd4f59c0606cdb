/** The help text of every metric of the control plane and of `navarch exporter`. */
export const HELP = {
  navarch_agent_streams: "Agents connected by WebSocket.",
  navarch_config_warnings: "Warnings about the active configuration.",
  navarch_degraded: "1 while a part of this control plane does not work.",
  navarch_config_stale: "1 if the configuration or policy files differ from what is in force.",
  navarch_config_reloads_total: "Reloads of the configuration by outcome.",
  navarch_simulation_enabled: "1 while people may inject faults (`simulation.enabled`).",
  navarch_simulation_faults_total: "Faults injected into simulated machines.",
  navarch_leader: "1 if this process is the leader.",
  navarch_policy_info: "The active policy.",
  navarch_xid_errors_total: "GPU XID errors detected.",
  navarch_foreign_findings_total: "Findings about devices of another node; ignored.",
  navarch_store_quarantined_rows_total: "Unreadable stored rows that were quarantined.",
  navarch_commands_issued_total: "Commands issued by people.",
  navarch_replacements_total: "Nodes removed because of a fault, by outcome.",
  navarch_replacement_step_seconds: "Time since the previous step.",
  navarch_isolation_seconds:
    "Time from a fault's report until the API server confirmed the cordon of its Node.",
  navarch_provider_requests_total: "Calls to providers by answer.",
  navarch_kube_writes_total: "Write requests to the Kubernetes API server.",
  navarch_slurm_calls_total: "Calls to Slurm by answer.",
  navarch_slurm_drain_seconds:
    "Time from a fault's report until Slurm confirmed the drain of its node.",
  navarch_scheduler_marks_total:
    "Cordons, drains and releases in a scheduler by outcome; a repeat without a change is none.",
  navarch_agentpool_workers: "Workers of an AgentPool by state.",
  navarch_agentpool_slots: "Free slots (available) and queued claims (requested) of an AgentPool.",
  navarch_agentpool_last_event_timestamp_seconds:
    "When each last happened to an AgentPool since this process leads, Unix time.",
  navarch_agentpool_condition: "1 while the condition of an AgentPool is true.",
  velda_autoscaler_workers: "As navarch_agentpool_workers, for dashboards of Velda.",
  velda_autoscaler_worker_slots: "As navarch_agentpool_slots, for dashboards of Velda.",
  velda_autoscaler_last_event_timestamp_seconds:
    "As navarch_agentpool_last_event_timestamp_seconds, for dashboards of Velda.",
  navarch_hpa_replicas:
    "Replicas of what a HorizontalPodAutoscaler scales: current, desired, min and max.",
  navarch_hpa_metric_ratio:
    "A metric of a HorizontalPodAutoscaler by its target: more replicas are wanted above 1.1.",
  navarch_hpa_events_total: "Scalings of a service, and limits that held it back.",
  navarch_slurm_dark: "1 while Slurm cannot be asked: nothing is drained, released or ended then.",
  navarch_slurm_list_age_seconds: "Age of the last complete list of Slurm's nodes.",
  navarch_slurm_nodes: "Nodes with a NodeName by who holds them out of service in Slurm.",
  navarch_slurm_ambiguous_nodes: "Nodes whose NodeName is in doubt: nothing is done to them.",
  navarch_slurm_unknown_names: "NodeNames of the configuration that Slurm does not list.",
  navarch_slurm_unclaimed_nodes: "Nodes of Slurm that no node, pool or alias has.",
  navarch_slurm_pod_replicas: "Replicas of the StatefulSet of `slurm.pods`, as last read.",
  navarch_slurm_pods_needed: "Pods that Slurm's jobs need, within the bounds of `slurm.pods`.",
  navarch_reports_total: "Agent reports accepted, refused, or deferred by a rate limit.",
  navarch_ignored_notices_total:
    "Reports with an interruption notice whose time is long past or far ahead; ignored.",
  navarch_report_ingest_seconds: "From a report's arrival to its acknowledgement.",
  navarch_policy_matches_total: "Findings by the rule that decided them.",
  navarch_policy_rule_shadow_matches_total:
    "Findings that a shadow or quarantined rule would have decided.",
  navarch_policy_errors_total: "Conditions that could not be evaluated, by rule.",
  navarch_nodes_total: "Registered nodes that are not terminated, per pool.",
  navarch_nodes_healthy: "Healthy or degraded nodes, per pool.",
  navarch_nodes_unhealthy: "Unhealthy or silent nodes, per pool.",
  navarch_nodes_unmanaged: "The part of navarch_nodes_total that Navarch did not create.",
  navarch_pool_healthy_nodes:
    "Healthy or degraded nodes that count towards the pool's desired size.",
  navarch_nodes: "Nodes by status.",
  navarch_pool_desired_nodes: "Wanted size of the pool.",
  navarch_instances: "Instances by state.",
  navarch_kube_cordon_refused_nodes:
    "Nodes whose cordon or uncordon the Kubernetes API server refuses.",
  navarch_kube_uncordoned_broken_nodes:
    "Nodes with broken hardware that nothing repairs, because someone uncordoned them.",
  navarch_kube_unproven_nodes:
    "Nodes whose faults are not shown in Kubernetes: their agent's Node is not proven.",
  navarch_kube_missing_nodes:
    "Bought nodes whose Node object is missing in Kubernetes: no pod can be placed on them.",
  navarch_kube_not_ready_nodes:
    "Nodes in service whose Node is NotReady in Kubernetes for a minute while their agents report.",
  navarch_pool_pending_jobs: "Jobs that wait for the pool.",
  navarch_pool_queue_depth: "Jobs that wait for the pool or run in it.",
  navarch_pool_demand_stale: "1 while the pool's queue is not known.",
  navarch_provider_usable: "1 while new machines can be created and start; 0 while they cannot.",
  navarch_safety_frozen:
    "1 while automation is paused in the pool; without a pool, in the whole fleet.",
  navarch_safety_blind: "1 while observations are unreliable and irreversible actions are paused.",
  navarch_safety_quarantined_rules: "Policy rules that a circuit breaker suspended.",
  navarch_safety_lemons: "Quarantined GPUs: failed, and refused if a cloud returns them.",
  navarch_safety_lemon_refusals_total: "Instances refused because of a quarantined GPU.",
  navarch_plan_waits: "Actions that wait in the newest plan, by reason.",
  navarch_safety_budget_used: "Nodes that use the budget of a scope.",
  navarch_safety_budget_max: "Nodes that may use it at once.",
  navarch_safety_breaker_state: "1 for the state the breaker is in.",
  navarch_spend_dollars_per_hour: "Current cost of instances of known price.",
  navarch_spend_ceiling_dollars_per_hour: "Maximum cost; no series without a limit.",
  navarch_spend_ceiling_dollars_per_month:
    "Maximum cost of a calendar month (UTC); no series without a limit.",
  navarch_spend_instances: "Instances that may be billed.",
  navarch_spend_ceiling_instances: "Maximum number of instances; no series without a limit.",
  navarch_spend_unknown_prices:
    "Instances of unknown price, not included in navarch_spend_dollars_per_hour.",
  navarch_cost_dollars_per_hour: "Current cost of billed instances of known price, by state.",
  navarch_cost_unknown_prices: "Billed instances of unknown price, by state.",
  navarch_cost_month_dollars_total:
    "Cost since the first of the month (UTC); begins again at 0 with each month.",
  navarch_instances_still_billing: "Terminating instances that the cloud has not confirmed gone.",
  navarch_instances_still_billing_seconds: "Time since the oldest of these terminations.",
  navarch_provider_offer_backoff_seconds:
    "Remaining back-off of an offer that the provider refused; 0 = none.",
  navarch_gpus_total: "GPUs by provider.",
  navarch_node_gpu_count: "GPUs that the node's agent lists.",
  navarch_node_health_status: "1 healthy, 0.5 degraded, 0 unhealthy; no series while unknown.",
  navarch_node_health_check_status:
    "1 passed, 0.5 degraded, 0 failed: the last full check (all), and each kind of finding held.",
  navarch_gpu_xid_errors_total: "GPU XID errors by GPU.",
  navarch_node_gpu_temperature_celsius: "GPU temperature.",
  navarch_node_gpu_utilization_percent: "GPU utilisation, 0 to 100.",
  navarch_node_gpu_memory_used_bytes: "GPU memory in use.",
  navarch_node_gpu_power_watts: "GPU power draw.",
  navarch_agents_without_tls: "Agents that report over unencrypted HTTP, except loopback.",
  navarch_agents_unverified: "Agents that predate signed orders and cannot verify them.",
  navarch_agents_key_first_use:
    "Agents that trusted this control plane's key on first use over unencrypted HTTP.",
  navarch_agents_other_key:
    "Agents that trust a different key and refuse this control plane's orders.",
  navarch_agent_orders_refused:
    "Orders that current agents refused because of an invalid signature.",
  coordinator_queue_depth: "Tasks of the demand queue that wait, held ones too.",
  kai_coordinator_queue_depth: "The same under the name that rules of Prometheus Adapter read.",
  coordinator_queue_processing_rate: "Tasks completed a second, over the last minute.",
  ml_processing_time_seconds:
    "Mean time of the attempts that completed within five minutes; 0 if none did.",
  ml_processing_backlog_seconds:
    "Time until the waiting tasks are done at the present rate; no series while the rate is 0.",
  db_connection_utilization: "Busy share of the store's writer in the last minute, percent.",
  db_connection_wait_time: "Mean time that a write waited for the writer in the last minute.",
  node_resource_requests: "What running pods request of the node: cores, bytes or devices.",
  node_resource_limits: "The limits of running pods on the node: cores, bytes or devices.",
  node_resource_occupancy: "Requests in percent of what the node has to allocate.",
  node_resource_stale:
    "1 while the node_resource gauges may be outdated: the API server cannot be read.",
} as const;

export type MetricName = keyof typeof HELP;
