// @ts-nocheck
/**
 * Navarch
 * 0.1.0
 * DO NOT MODIFY - This file has been generated using oazapfts.
 * See https://www.npmjs.com/package/oazapfts
 */
import * as Oazapfts from "@oazapfts/runtime";
import * as QS from "@oazapfts/runtime/query";
export const defaults: Oazapfts.Defaults<Oazapfts.CustomHeaders> = {
    headers: {},
    baseUrl: "/"
};
const oazapfts = Oazapfts.runtime(defaults);
export const servers = {
    server1: "/"
};
export type Error = {
    error: {
        code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        message: string;
        details: object;
        request_id: string;
    };
};
export type GpuView = {
    index: number;
    uuid: string;
    name: string;
    pci_bus_id: string;
    memory_total: null | number;
    driver_version: null | string;
    cuda_version: null | string;
};
export type KubeNodeView = {
    name: string;
    uid: string;
    matched_by: string;
    unschedulable: boolean;
    /** Navarch's mark is on it. */
    marked: boolean;
    /** Other owners that hold it unschedulable. */
    held_by: string[];
    hold: boolean;
    absent_since: null | string;
    /** Why the object stays although its machine is gone. */
    stays?: null | string;
};
export type SlurmNodeView = {
    /** Its NodeName, and what tells that it is this node's. */
    name: string;
    matched_by: string;
    /** As in `IDLE+DRAIN`; `null` while it is unknown. */
    state: null | string;
    /** Who holds a node out of service in a scheduler: `slurm` is slurmctld itself, as for a node that
    does not respond; `unknown` while it cannot be asked. */
    owner: "foreign" | "none" | "own" | "slurm" | "unknown";
    reason: null | string;
    reason_by: null | string;
    /** When Navarch's own drain was read back. */
    drained_at: null | string;
    boot_time: null | string;
    absent_since: null | string;
    /** Why the controller's word cannot be had now. */
    "unknown": null | string;
    /** Why Slurm last refused a drain or release; `null` once it accepts one. */
    refusal: null | string;
    /** Running and completing, at most 20. */
    jobs: {
        id: string;
        state: string;
        user: null | string;
        name: null | string;
        gpus: number;
    }[];
};
export type AgentPoolWorkerView = {
    name: string;
    state: "Deleting" | "Disconnected" | "Idle" | "Lost" | "NeedsRestart" | "NotifyDeleting" | "Pending" | "Running" | "Unknown";
    /** Of its agent; `null` until it joins. */
    node_id: null | string;
    claims: number;
    slots: number;
    /** `metadata.generation` of the pool whose template it has. */
    generation: number;
    created_at: string;
    joined_at: null | string;
    lost_since: null | string;
    leaving: {
        cause: "deleted" | "finished" | "lost" | "pending" | "recycled" | "removed" | "surplus" | "unhealthy" | "unknown";
        since: string;
        deleting: boolean;
    } | null;
};
export type NodeWorkerView = {
    /** `NAMESPACE/NAME` of the AgentPool. */
    pool: string;
    /** `null`: its pool has no such worker any more, or this replica does not lead. */
    worker: AgentPoolWorkerView | null;
};
export type NodeSinksView = {
    kubernetes: ("foreign" | "none" | "own" | "slurm" | "unknown") | null;
    slurm: ("foreign" | "none" | "own" | "slurm" | "unknown") | null;
};
export type CordonView = {
    by: string;
    why: string;
    at: string;
};
export type RmaView = {
    at: string;
    host: string;
    hostname: null | string;
    address: null | string;
    rack: null | string;
    provider: string;
    driver_version: null | string;
    kernel_version: null | string;
    /** Why no repair step is left. */
    because: string[];
    rebooted_at: null | string;
    faults: {
        fault: string;
        gpu_index: null | number;
        gpu_uuid: null | string;
        gpu_serial: null | string;
        gpu_model: null | string;
        pci_bus_id: null | string;
        /** Line of the kernel log, or a probe's message. */
        line: string;
        at: string;
        count: number;
        /** What `count` lines of the kernel log stand for. */
        occurrences?: number;
    }[];
};
export type HealthEventView = {
    timestamp: string;
    kind: string;
    code: null | number;
    gpu_index: null | number;
    gpu_uuid: null | string;
    severity: string;
    message: string;
    foreign: boolean;
};
export type NodeView = {
    node_id: string;
    provider: null | string;
    region: null | string;
    zone: null | string;
    instance_type: null | string;
    status: "NODE_STATUS_ACTIVE" | "NODE_STATUS_CORDONED" | "NODE_STATUS_DRAINING" | "NODE_STATUS_TERMINATED" | "NODE_STATUS_UNHEALTHY" | "NODE_STATUS_UNKNOWN";
    health_status: "HEALTH_STATUS_DEGRADED" | "HEALTH_STATUS_HEALTHY" | "HEALTH_STATUS_UNHEALTHY" | "HEALTH_STATUS_UNKNOWN";
    last_heartbeat: null | string;
    gpus: GpuView[];
    metadata: {
        hostname: null | string;
        internal_ip: null | string;
        external_ip: null | string;
        kernel_version: null | string;
        labels: {
            [key: string]: any;
        };
    };
    pool: null | string;
    instance_id: null | string;
    kubernetes_node: null | string;
    kubernetes?: KubeNodeView | null;
    slurm?: SlurmNodeView | null;
    /** `null` = a machine, not a worker pod. */
    worker?: NodeWorkerView | null;
    sinks?: NodeSinksView;
    /** True if its GPUs are simulated. */
    fake: boolean;
    phase: string;
    phase_since: string;
    /** When a draining node was found empty. */
    drained_at: null | string;
    verdict: string;
    reasons: string[];
    cordons: {
        product: CordonView | null;
        human: CordonView | null;
    };
    session_id: null | string;
    replaces: null | string;
    created_at: string;
    instance: {
        id: string;
        state: "INSTANCE_STATE_FAILED" | "INSTANCE_STATE_PENDING_REGISTRATION" | "INSTANCE_STATE_PROVISIONING" | "INSTANCE_STATE_RUNNING" | "INSTANCE_STATE_TERMINATED" | "INSTANCE_STATE_TERMINATING" | "INSTANCE_STATE_UNKNOWN";
        provider: string;
    } | null;
    agent_version: null | string;
    rma?: RmaView;
    /** Only in the answer for one node. */
    health_events?: HealthEventView[];
};
export type BootstrapStepView = {
    kind: string;
    name: string;
    command: string;
    started_at: string;
    /** `null` while it runs. */
    duration_ms: null | number;
    exit_code: null | number;
    stdout: string;
    stderr: string;
    /** Done by an earlier attempt. */
    skipped: boolean;
    error: null | string;
};
export type BootstrapAttemptView = {
    attempt: number;
    instance_id: string;
    address: string;
    host_key: null | string;
    started_at: string;
    ended_at: null | string;
    /** `running`, `done`, `failed`, `interrupted` or `cancelled`. */
    state: string;
    error: null | string;
    steps: BootstrapStepView[];
};
export type BootstrapView = {
    node_id: string;
    phase: string;
    attempts: BootstrapAttemptView[];
};
export type InstanceView = {
    instance_id: string;
    provider: string;
    region: null | string;
    zone: null | string;
    instance_type: string;
    state: "INSTANCE_STATE_FAILED" | "INSTANCE_STATE_PENDING_REGISTRATION" | "INSTANCE_STATE_PROVISIONING" | "INSTANCE_STATE_RUNNING" | "INSTANCE_STATE_TERMINATED" | "INSTANCE_STATE_TERMINATING" | "INSTANCE_STATE_UNKNOWN";
    pool: null | string;
    node_id: string;
    created_at: string;
    status_message: null | string;
    price_per_hour: null | number;
    /** Since when its termination is requested and not confirmed. */
    ending_since: null | string;
};
export type CommandView = {
    command_id: string;
    node_id: string;
    "type": string;
    issued_at: string;
    issued_by: string;
    reason: string;
    /** `accepted`, `applied` or `refused`. */
    status: string;
    message: null | string;
};
export type PodPlanView = {
    "namespace": string;
    name: string;
    uid: string;
    /** `keep`, `evict`, `wait` or `blocked`. */
    verdict: string;
    why: string;
};
export type PoolView = {
    name: string;
    desired: number;
    nodes: number;
    ready: number;
    min: number;
    max: number;
    providers: string[];
    strategy: string;
    conditions: string[];
};
export type HoldView = {
    by: string;
    why: string;
    at: null | string;
    until: null | string;
};
export type BreakerView = {
    scope: string;
    state: "half-open" | "open" | "restrained";
    since: string;
    why: string;
    cause: {
        attribute: "agent" | "driver" | "provider" | "rack" | "rule" | "zone";
        value: string;
    } | null;
};
export type SuspectView = {
    pool: string;
    /** `<provider>/<region>/<zone>/<type>#<set-up>`. */
    place: string;
    failures: number;
    next_try: null | string;
};
export type PoolCostView = {
    per_hour: number;
    unknown_prices: number;
    today: number;
    month: number;
    month_max: null | number;
};
export type QueueView = {
    source: string;
    observed_at: string;
    /** Whole seconds. */
    age_s: number;
    /** What the autoscaler counts; `null` = no autoscaler reads the queue. */
    counts: ("gpus" | "pods") | null;
    pending_gpus: number;
    gpu_depth: number;
};
export type DecisionView = {
    verdict: string;
    because: string;
    at: string;
};
export type PlaceView = {
    place: string;
    /** US dollars an hour; `null` = unknown. */
    price_per_hour: null | number;
    /** Above this nothing is bought; `null` = no limit. */
    max_price: null | number;
    /** Whether the cloud shows capacity; `null` = it does not say. */
    available: null | boolean;
    /** When price and capacity were read; `null` = not since the start. */
    seen_at: null | string;
    /** Nodes of the pool that were bought there. */
    nodes: number;
    /** Refusals since a node of the place was last verified, or since a purchase was accepted. */
    failures: number;
    /** Nothing is bought there before; `null` = it does not rest. */
    rest_until: null | string;
    /** The last refusal, `<class>: <message>`. */
    why: null | string;
};
export type StatusView = {
    name: string;
    total_nodes: number;
    healthy_nodes: number;
    unhealthy_nodes: number;
    cordoned_nodes: number;
    can_scale_up: boolean;
    can_scale_down: boolean;
    desired: number;
    provisioning: number;
    draining: number;
    min_nodes: number;
    max_nodes: number;
    utilization: null | number;
    pending_jobs: null | number;
    queue_depth: null | number;
    last_scale_at: null | string;
    hold: HoldView | null;
    /** Of the pool, the fleet, and its nodes' domains. */
    breakers: BreakerView[];
    suspects: SuspectView[];
    conditions: string[];
    cost?: PoolCostView;
    /** `null` = unknown. */
    queue: QueueView | null;
    /** The newest evaluation, or what is stored of one before this process started. */
    decision: DecisionView | null;
    /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
    cooldown_remaining_s: null | number;
    cannot_scale_up: null | string;
    places: PlaceView[];
    /** Of `total_nodes`, those that this fleet did not buy. */
    unmanaged_nodes: number;
};
export type MemberView = {
    node_id: string;
    /** `creating`: requested or starting; `deleting`: will end; `running`: all others. */
    state: "creating" | "deleting" | "running";
    phase: string;
    since: string;
    /** The id with which the machine registers: `aws:///us-east-1a/i-0abc`; `null` = unknown. */
    provider_id: null | string;
    /** The cloud's id; `null` until an instance is bought. */
    instance_id: null | string;
    provider: null | string;
    kubernetes_node: null | string;
    /** The last refusal of a cloud. */
    error: {
        "class": string;
        message: string;
    } | null;
};
export type MembersView = {
    name: string;
    /** The wanted size. */
    target: number;
    min_nodes: number;
    max_nodes: number;
    members: MemberView[];
};
export type AgentPoolConditionView = {
    "type": "AtMax" | "Draining" | "Gated" | "InvalidTemplate" | "Ready" | "ScaleUpBlocked";
    status: "False" | "True";
    reason: string;
    message: string;
};
export type ClaimView = {
    id: string;
    "namespace": string;
    pool: string;
    label: string;
    /** Who asked for it. */
    by: string;
    state: "cancelled" | "expired" | "lost" | "queued" | "released" | "running";
    /** `null` while it is queued, or if it never ran. */
    worker: null | string;
    slot: null | number;
    /** Place in the pool's queue, from 1; `null` if it is not queued. */
    position: null | number;
    /** Why it is queued. */
    because: null | string;
    created_at: string;
    placed_at: null | string;
    expires_at: null | string;
    ended_at: null | string;
};
export type AgentPoolView = {
    "namespace": string;
    name: string;
    /** `null` if it is not scaled. */
    min: null | number;
    max: null | number;
    size: number;
    /** Free slots less queued claims. */
    idle: number;
    queued: number;
    workers: {
        Pending?: number;
        Idle?: number;
        Running?: number;
        Unknown?: number;
        Lost?: number;
        NotifyDeleting?: number;
        Deleting?: number;
        Disconnected?: number;
        NeedsRestart?: number;
    };
    /** Reason of what keeps it from its size, such as `AtMax`; `null` if nothing does. */
    reason: null | string;
    uid: string;
    generation: number;
    deleting: boolean;
    autoscaler: {
        min_replicas: number;
        max_replicas: number;
        min_idle: number;
        max_idle: number;
        effective_max_idle: number;
        idle_decay_ms: number;
        kill_unknown_after_ms: number;
        slots_per_agent: number;
    } | null;
    last_allocation_error: {
        reason: "AdmissionDenied" | "Forbidden" | "InvalidTemplate" | "QuotaExceeded" | "ResourceExhausted" | "StartupFailure" | "Unavailable";
        message: string;
        at: string;
    } | null;
    conditions: AgentPoolConditionView[];
    /** Why it does not grow, for people; empty if nothing keeps it from growing. */
    blockers: string[];
    worker_list: AgentPoolWorkerView[];
    /** Open ones, in the order of their arrival. */
    claims: ClaimView[];
};
export type CostInstanceView = {
    node_id: string;
    instance_id: string;
    pool: null | string;
    provider: string;
    since: string;
    /** `null` = unknown. */
    price_per_hour: null | number;
    /** Since `since`, at the current price. */
    accrued: null | number;
};
export type OtherFleetView = {
    fleet_id: string;
    /** Pools of ours that have the same names. */
    pools: string[];
    providers: string[];
    machines: number;
    /** US dollars of those whose price is known. */
    per_hour: number;
    unknown_prices: number;
    /** Its pools here wait for a person: they have bought and adopted nothing yet. */
    holds: boolean;
    /** Who said that it is another's. */
    ignored_by: null | string;
    /** The first of its machines. */
    shown: {
        instance_id: string;
        "type": string;
        region: null | string;
    }[];
};
export type CostView = {
    at: string;
    /** The period, by whole days; `to` is its end or, while it lasts, the time of the answer. */
    "from": string;
    to: string;
    /** `2026-11` if the period is that month. */
    month: null | string;
    /** What is billed in one pool, at one provider, or in the fleet. */
    total: {
        /** Empty: instances of no pool. */
        name: string;
        /** Billed now, and of those the ones of unknown price. */
        instances: number;
        unknown_prices: number;
        /** Of known price. */
        per_hour: number;
        today: number;
        /** In the period of the answer. */
        period: number;
        /** Instance-hours in the period whose price was never known; not included in `period`. */
        unknown_hours: number;
        /** The calendar month, if all goes on as now; `null` for another period. */
        projected: null | number;
        per_hour_max: null | number;
        per_month_max: null | number;
    };
    pools: {
        /** Empty: instances of no pool. */
        name: string;
        /** Billed now, and of those the ones of unknown price. */
        instances: number;
        unknown_prices: number;
        /** Of known price. */
        per_hour: number;
        today: number;
        /** In the period of the answer. */
        period: number;
        /** Instance-hours in the period whose price was never known; not included in `period`. */
        unknown_hours: number;
        /** The calendar month, if all goes on as now; `null` for another period. */
        projected: null | number;
        per_hour_max: null | number;
        per_month_max: null | number;
    }[];
    providers: {
        /** Empty: instances of no pool. */
        name: string;
        /** Billed now, and of those the ones of unknown price. */
        instances: number;
        unknown_prices: number;
        /** Of known price. */
        per_hour: number;
        today: number;
        /** In the period of the answer. */
        period: number;
        /** Instance-hours in the period whose price was never known; not included in `period`. */
        unknown_hours: number;
        /** The calendar month, if all goes on as now; `null` for another period. */
        projected: null | number;
        per_hour_max: null | number;
        per_month_max: null | number;
    }[];
    idle: {
        state: "draining" | "held" | "repairing" | "serving" | "silent" | "starting" | "surplus" | "terminating";
        count: number;
        unknown_prices: number;
        per_hour: number;
        accrued: number;
        instances: CostInstanceView[];
    }[];
    /** Purchases whose outcome is open: not included above, and billed if the cloud accepted them. */
    open_purchases: {
        count: number;
        unknown_prices: number;
        per_hour: number;
        possible: number;
    };
    /** Machines of other fleets with a pool's name, not included: perhaps a lost state's. */
    other_fleets?: OtherFleetView[];
    /** Oldest first. */
    days: {
        day: string;
        dollars: number;
        unknown_hours: number;
    }[];
};
export type AgentsView = {
    count: number;
    nodes: string[];
};
export type TrustView = {
    /** Fingerprint of the key that signs orders and releases here; `null` = nothing is signed. */
    key: null | string;
    /** The control plane itself speaks TLS. */
    tls: boolean;
    agents: number;
    without_tls: AgentsView;
    unverified: AgentsView;
    first_use: AgentsView;
    other_key: AgentsView;
    /** Unproven orders that agents refused. */
    refused: {
        orders: number;
        nodes: {
            node_id: string;
            orders: number;
            last: null | string;
        }[];
    };
};
export type FreezeView = {
    by: string;
    why: string;
    at: null | string;
    until: null | string;
    all: boolean;
    effect: string;
};
export type DegradedView = {
    part: "metrics_port" | "provider";
    name: string;
    why: string;
};
export type RoomView = {
    scope: string;
    rung: string;
    used: number;
    max: number;
};
export type UncountedView = {
    kind: string;
    what: string;
    nodes: number;
};
export type BillView = {
    scope: string;
    per_hour: number;
    per_hour_max: null | number;
    /** Since the first of the month (UTC), open purchases included. Absent in older versions. */
    month?: number;
    month_max?: null | number;
    instances: number;
    instances_max: null | number;
    /** Instances whose price is unknown. */
    unknown_prices: number;
};
export type BilledView = {
    instance_id: string;
    node_id: string;
    provider: string;
    pool: null | string;
    since: string;
    price_per_hour: null | number;
    /** Why the cloud last refused to end it. Absent at older control planes. */
    refused?: null | string;
};
export type QuarantinedGpuView = {
    uuid: string;
    because: string;
    last_at: string;
    nodes: string[];
    provider: string;
    place: string;
    refused: number;
};
export type FailureView = {
    "class": "auth" | "capacity" | "lost_reply" | "outage" | "rate_limit" | "slow";
    until: string;
    calls_left: null | number;
    delay_ms: null | number;
    by: string;
};
export type SafetyView = {
    frozen: FreezeView | null;
    /** Why observations are unreliable. */
    blind: string[];
    /** Why the loop, or a pool, cannot act. */
    broken: null | string;
    /** An older control plane does not report it. */
    degraded?: DegradedView[];
    holds: {
        by: string;
        why: string;
        at: null | string;
        until: null | string;
        pool: string;
    }[];
    breakers: BreakerView[];
    quarantined: {
        rule: string;
        at: string;
        why: string;
    }[];
    suspects: SuspectView[];
    /** Racks only while in use. */
    budgets: RoomView[];
    /** Nodes out of service that the rung `isolate` does not count. Absent in older versions. */
    uncounted?: UncountedView[];
    bills: BillView[];
    still_billed: {
        count: number;
        per_hour: number;
        unknown_prices: number;
        oldest: BilledView[];
    };
    lemons: {
        count: number;
        refused: number;
        newest: QuarantinedGpuView[];
    };
    /** Learned hardware failures per 1,000 node-days. */
    failure_rate: number;
    waits: {
        provider?: number;
        operation?: number;
        blind?: number;
        budget?: number;
        breaker?: number;
        spend?: number;
        threshold?: number;
        drain?: number;
        boot?: number;
        late_boot?: number;
        bootstrap?: number;
        cluster?: number;
        backoff?: number;
        bootstrap_guard?: number;
        second_witness?: number;
        human?: number;
        not_ours?: number;
        other_fleet?: number;
        replacement?: number;
        confirmation?: number;
    };
    providers: {
        name: string;
        /** How repeated purchases are recognised (docs/reference/providers.md#classes). */
        "class": string;
        guarantee: string;
        /** Why nothing can be bought. */
        unavailable: null | string;
        /** Why bought machines do not come up. */
        trouble?: null | string;
        /** With which providers it shares account and region. Absent at older control planes. */
        shared?: null | string;
    }[];
    /** Present while faults may be injected: the providers that fail on purpose. */
    simulation?: {
        provider: string;
        failure: FailureView;
    }[];
};
export type FleetsView = {
    fleet_id: string;
    /** The id that the next start has, after an adoption; `null` = the same. */
    next_id: null | string;
    others: OtherFleetView[];
    /** Providers that did not show machines of other fleets, for pools that have bought nothing. */
    not_seen: {
        provider: string;
        pools: string[];
        why: string;
    }[];
};
export type FleetChangeView = {
    fleet_id: string;
    changed: boolean;
};
export type SlurmPodsView = {
    stateful_set: string;
    "namespace": string;
    min: number;
    max: number;
    /** `null` = not read yet. */
    replicas: null | number;
    /** Nodes with work, those for pending jobs, and the pods that both need. */
    busy: null | number;
    pending: null | number;
    needed: null | number;
    /** `held`: others hold a node that would have to go first. */
    state: "failed" | "held" | "steady" | "step" | "wait";
    why: string;
};
export type SlurmClusterView = {
    /** False: `slurm.enabled` is off, or this replica stands by. */
    attached: boolean;
    /** Transport, address and version. */
    server: null | string;
    /** That Slurm lists; of them, those of a node here. */
    nodes: number;
    matched: number;
    /** Of the last complete list. */
    age_ms: null | number;
    /** Why Slurm cannot be asked now. */
    dark: null | string;
    alarms: string[];
    /** Nodes about whose NodeName nothing is done. */
    ambiguous: {
        node_id: string;
        why: string;
    }[];
    /** Names of the configuration that Slurm does not list, by key. */
    unknown_names: {
        key: string;
        names: string;
    }[];
    /** Partitions of the configuration in which Slurm shows no node, by key. */
    unknown_partitions: {
        key: string;
        partition: string;
    }[];
    /** NodeNames that no node, pool or alias has. */
    unclaimed: string;
    refusals: {
        node_id: string;
        name: string;
        message: string;
    }[];
    /** The StatefulSet of `slurm.pods`; `null` = none, or not looked at yet. */
    pods: SlurmPodsView | null;
};
export type SlurmRightsView = {
    allowed: null | boolean;
    message: null | string;
};
export type SimulationView = {
    enabled: boolean;
    /** The control plane's clock. */
    now: string;
    providers: {
        name: string;
        "type": string;
        simulated: boolean;
        failure: FailureView | null;
    }[];
};
export type FaultView = {
    kind: "xid";
    code: number;
    gpu: number;
    id: string;
    at: string;
} | {
    kind: "ecc" | "lost" | "nvlink" | "thermal";
    gpu: number;
    id: string;
    at: string;
};
export type EventView = {
    id: number;
    at: string;
    kind: string;
    node_id: null | string;
    pool: null | string;
    session_id: null | string;
    trace_id?: null | string;
    actor: string;
    message: string;
};
export type ActionView = {
    node_id: string;
    kind: string;
    what: string;
    because: string[];
};
export type WaitView = {
    node_id: null | string;
    pool: null | string;
    reason: "backoff" | "blind" | "boot" | "bootstrap" | "bootstrap_guard" | "breaker" | "budget" | "cluster" | "confirmation" | "drain" | "human" | "late_boot" | "not_ours" | "operation" | "other_fleet" | "provider" | "replacement" | "second_witness" | "spend" | "threshold";
    message: string;
    until: null | string;
};
export type PlanView = {
    actions: ActionView[];
    waits: WaitView[];
    blind: string[];
    frozen: null | string;
};
export type VersionView = {
    version: string;
    commit: string;
    build_date: string;
    runtime: string;
    platform: string;
};
export type AuditView = {
    /** `ok`, or the code of the error; of a mark `ok`, `refused`, `foreign` or `unknown`. */
    code: string;
    /** HTTP status; 403 for a report refused on a stream; 0 for a mark. */
    status: number;
    path: string;
    /** `null` in rows of calls. */
    mark: {
        /** The session of the repair; `null` = there was none, as for a person's cordon. */
        repair: null | string;
        sink: "kubernetes" | "slurm";
        /** The node's names in Kubernetes and in Slurm. */
        names: string[];
    } | null;
    kind: null | string;
    id: number;
    count: number;
    /** True if nothing was done. */
    refused: boolean;
    role: null | string;
    /** A node, a pool, a token. */
    target: null | string;
    /** What the call does (`cordon`) to what kind of object (`node`); `null` in older rows. */
    verb: null | string;
    /** Why it was refused, or what came of it. */
    detail: null | string;
    /** `admin`, `token:<id>`, `node:<id>`, `join:<id>`, `shared`, `anonymous`, `several`;
    `reconciler` for marks. */
    who: string;
    method: string;
    remote: string;
    at: string;
    until: string;
    request_id: string;
};
export type ReloadView = {
    outcome: "applied" | "failed" | "invalid" | "refused" | "unchanged";
    at: string;
    by: string;
    /** Of the configuration in force. */
    hash: string;
    restart: string[];
    problems: string[];
    warnings: string[];
    changed: number;
};
export type ConfigStatusView = {
    files: string[];
    hash: string;
    policy: string;
    /** When it was loaded. */
    since: string;
    /** The files differ from what is in force. */
    stale: boolean;
    last: ReloadView | null;
    /** Removed pools whose nodes leave. */
    removing: {
        pool: string;
        by: string;
        at: string;
        nodes: number;
    }[];
    /** Pools with nodes that the configuration lacks without a permission to end them. */
    orphaned: {
        pool: string;
        nodes: number;
        message: string;
    }[];
};
export type ConfigDiffView = {
    hash: string;
    next: string;
    /** `null` = the same, or not compared. */
    policy: {
        before: string;
        after: string;
    } | null;
    changes: {
        key: string;
        before: null | string;
        after: null | string;
        restart: boolean;
    }[];
    /** What a reload does at once. */
    effects: {
        "object": string;
        message: string;
    }[];
    restart: string[];
    /** Why a reload without --allow-pool-removal would be refused. */
    refused: string[];
    /** Those that stay with --allow-pool-removal. */
    refused_always: string[];
};
export type KubernetesView = {
    /** False: no cluster is attached, or this replica stands by. */
    attached: boolean;
    server: null | string;
    nodes: number;
    pods: number;
    /** Of `expected` machines with a Node object once, those that have one now. */
    matched: number;
    expected: number;
    /** Bought machines whose Node object was deleted; the first of them. */
    missing_nodes: {
        node_id: string;
        name: string;
        since: string;
    }[];
    /** Machines whose agents report and whose Nodes are NotReady; the first of them. */
    not_ready_nodes: {
        node_id: string;
        name: string;
        since: string;
        shows: string;
    }[];
    age_ms: null | number;
    /** Why the cluster cannot be reached now. */
    dark: null | string;
    writes_per_second: number;
    draining: number;
    forbidden: string[];
    alarms: string[];
    /** Nodes that the API server refuses to cordon or uncordon, with the reason. */
    refused: string[];
    /** The same lines with their cause. */
    refusals: {
        message: string;
        /** RBAC, a webhook or policy, or anything else. */
        cause: "admission" | "other" | "permission";
    }[];
    /** Nodes whose conditions, labels or taints could not be written, with the reason. */
    unshown: string[];
    /** Pods with a `navarch.dev/hold`, which only Nodes may have. */
    ignored_holds: string[];
    /** Broken Nodes that others uncordoned, or Nodes uncordoned repeatedly. */
    uncordoned: string[];
    /** Drains blocked by budgets, web hooks or finalizers. */
    blocked: string[];
};
export type PermissionsView = {
    attached: boolean;
    /** Each missing permission, as the rule that would grant it. */
    missing: string[];
    /** Number of permissions that are needed. */
    checked: number;
    /** The control plane's user name at the API server. */
    account: null | string;
};
export type UpgradeNodeView = {
    node_id: string;
    version: string;
    /** A step, or `has it`, `next`, `waiting`, `left alone`. */
    state: "back" | "checking" | "failed" | "has it" | "left" | "left alone" | "next" | "refused" | "returning" | "stranded" | "told" | "upgraded" | "waiting";
    since: null | string;
    why: null | string;
};
export type UpgradeView = {
    upgrade: {
        id: string;
        to: string;
        state: "done" | "rolled back" | "running" | "stopped";
        why: null | string;
        /** Why no further agent is ordered now. */
        paused: null | string;
        rollback: boolean;
        by: string;
        max_unavailable: string;
        started_at: string;
        ended_at: null | string;
        /** Nodes with an agent, and those with the version. */
        total: number;
        have: number;
        nodes: UpgradeNodeView[];
    } | null;
};
export type TokenView = {
    id: string;
    role: string;
    label: string;
    node_id: null | string;
    created_at: string;
    created_by: string;
    expires_at: null | string;
    revoked_at: null | string;
    /** Only in the answer to its creation. */
    token?: string;
    /** Only of a node's credential: its number, when that was made, and when it was first shown. */
    rotation?: number;
    rotated_at?: null | string;
    used_at?: null | string;
};
export type LoginLinkView = {
    path: string;
    expires_at: string;
};
export type JoinTokenView = {
    id: string;
    pool: string;
    node_id: null | string;
    label: string;
    state: "expired" | "open" | "revoked" | "used";
    uses: number;
    uses_max: number;
    created_at: string;
    created_by: string;
    expires_at: string;
    revoked_at: null | string;
    /** Only in the answer to its creation. */
    token?: string;
};
export type ContainerView = {
    name: string;
    image: string;
    ready: boolean;
    restartCount: number;
    /** `running`, `waiting`, `terminated`, or `unknown` without a status. */
    state: string;
    /** Of a container that waits or has ended: `CrashLoopBackOff`, `OOMKilled`. */
    reason?: string;
    message?: string;
    exitCode?: number;
    /** Why it ended before its last restart. */
    lastReason?: string;
};
export type TaintView = {
    key: string;
    value: null | string;
    effect: string;
};
export type TaskView = {
    id: string;
    "type": string;
    state: "failed" | "interrupted" | "passed" | "running" | "skipped" | "waiting";
    duration_ms: null | number;
    error: null | string;
};
export type WorkflowRunView = {
    id: string;
    name: string;
    /** `lost`: the control plane ended before the run did, and nothing was undone. */
    state: "cancelled" | "failed" | "lost" | "passed" | "queued" | "running";
    submitted_by: string;
    submitted_at: string;
    started_at: null | string;
    ended_at: null | string;
    duration_ms: null | number;
    /** Task and cause of a failure, or why a run is `lost` or `cancelled`. */
    error: null | string;
    /** What it creates is removed when it ends. */
    cleanup: boolean;
    /** `managedFields[].manager` of what it creates. */
    field_manager: string;
    tasks: TaskView[];
};
/**
 * an agent's report; also the WebSocket `/v1/agent/stream`
 */
export function postAgentReport(body: {
    version: 1;
    node_id: string;
    boot_id: string;
    stream: string;
    agent_version: string;
    simulated: boolean;
    sent_at: string;
    inventory?: {
        hostname: string;
        provider?: string | null;
        region?: string | null;
        zone?: string | null;
        instance_type?: string | null;
        provider_ids?: string[] | null;
        pool?: string | null;
        labels?: {
            [key: string]: string;
        } | null;
        internal_ip?: string | null;
        external_ip?: string | null;
        kernel_version?: string | null;
        driver_version?: string | null;
        cuda_version?: string | null;
        gpus: {
            index: number;
            uuid: string;
            name: string;
            pci_bus_id: string;
            serial?: string | null;
            memory_total?: number | null;
            driver_version?: string | null;
            cuda_version?: string | null;
            mig_enabled?: boolean | null;
        }[];
        capabilities?: string[] | null;
        trust?: {
            transport: string;
            key?: string | null;
            source?: string | null;
            refused?: number | null;
            last_refusal?: string | null;
        } | null;
    } | null;
    pod_token?: string;
    sample?: {
        at: string;
        cpu_percent?: number | null;
        memory_percent?: number | null;
        gpus: {
            index: number;
            uuid: string;
            temperature_celsius?: number | null;
            memory_temperature_celsius?: number | null;
            power_watts?: number | null;
            utilization_percent?: number | null;
            memory_used_bytes?: number | null;
            memory_total_bytes?: number | null;
            sm_clock_mhz?: number | null;
            memory_clock_mhz?: number | null;
            throttle_reasons?: number | null;
            ecc_corrected_volatile?: number | null;
            ecc_uncorrected_volatile?: number | null;
            ecc_corrected_aggregate?: number | null;
            ecc_uncorrected_aggregate?: number | null;
            remapped_rows_correctable?: number | null;
            remapped_rows_uncorrectable?: number | null;
            pcie_replay_total?: number | null;
            pcie_link_generation?: number | null;
            pcie_link_width?: number | null;
            nvlink_active?: number | null;
            nvlink_total?: number | null;
            fabric_state?: number | null;
            recovery_action?: number | null;
            remap_pending?: boolean | null;
            remap_failure?: boolean | null;
            processes?: number | null;
        }[];
    } | null;
    check?: {
        at: string;
        conclusive: boolean;
        probes: {
            name: string;
            outcome: "ok" | "finding" | "not_supported" | "no_permission" | "timeout" | "crashed" | "error" | "skipped";
            duration_ms: number;
            message?: string | null;
        }[];
        expected_gpus?: number | null;
        present_gpus: number;
        expected_from?: ("bus" | "option" | "instance_type" | "pool" | "baseline") | null;
        active: string[];
    } | null;
    findings?: {
        seq: number;
        finding: {
            kind: "xid" | "sxid" | "ecc" | "remap" | "thermal" | "power" | "throttle" | "nvlink" | "pcie" | "lost" | "driver" | "host" | "heartbeat";
            code?: number | null;
            reason?: string | null;
            pci?: string | null;
            gpu_index?: number | null;
            gpu_uuid?: string | null;
            mig?: {
                gi: number;
                ci?: number | null;
            } | null;
            pid?: number | null;
            process_name?: string | null;
            at: string;
            boot_id: string;
            severity: "info" | "warning" | "serious" | "fatal";
            message: string;
            metrics?: {
                [key: string]: number | boolean | string;
            } | null;
            source: string;
            foreign?: boolean | null;
            injected?: boolean | null;
            kmsg_seq?: number | null;
        };
    }[] | null;
    gaps?: {
        seq: number;
        reason: "spool_full" | "kernel_ring" | "malformed";
        count: number;
        at: string;
    }[] | null;
    results?: {
        command_id: string;
        outcome: "succeeded" | "failed" | "rejected";
        exit_code?: number | null;
        output?: string | null;
    }[] | null;
    refused_orders?: number | null;
    notice?: {
        kind: "preemption" | "maintenance";
        at?: string | null;
        message: string;
    };
    worker?: {
        slots?: number | null;
        stop: "no" | "busy" | "stopped";
        ignored?: string[] | null;
    };
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>("/v1/agent/report", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * nodes; filters `pool`, `status`, `health`, `label`; `limit`, `cursor`
 */
export function getNodes({ pool, provider, region, zone, status, health, label, limit, cursor }: {
    pool?: string;
    provider?: string;
    region?: string;
    zone?: string;
    status?: string;
    health?: string;
    label?: string;
    limit?: string;
    cursor?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            nodes: NodeView[];
            next: null | string;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes${QS.query(QS.explode({
        pool,
        provider,
        region,
        zone,
        status,
        health,
        label,
        limit,
        cursor
    }))}`, {
        ...opts
    });
}
/**
 * a node with its health events
 */
export function getNodesById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            node_id: string;
            provider: null | string;
            region: null | string;
            zone: null | string;
            instance_type: null | string;
            status: "NODE_STATUS_ACTIVE" | "NODE_STATUS_CORDONED" | "NODE_STATUS_DRAINING" | "NODE_STATUS_TERMINATED" | "NODE_STATUS_UNHEALTHY" | "NODE_STATUS_UNKNOWN";
            health_status: "HEALTH_STATUS_DEGRADED" | "HEALTH_STATUS_HEALTHY" | "HEALTH_STATUS_UNHEALTHY" | "HEALTH_STATUS_UNKNOWN";
            last_heartbeat: null | string;
            gpus: GpuView[];
            metadata: {
                hostname: null | string;
                internal_ip: null | string;
                external_ip: null | string;
                kernel_version: null | string;
                labels: {
                    [key: string]: any;
                };
            };
            pool: null | string;
            instance_id: null | string;
            kubernetes_node: null | string;
            kubernetes?: KubeNodeView | null;
            slurm?: SlurmNodeView | null;
            /** `null` = a machine, not a worker pod. */
            worker?: NodeWorkerView | null;
            sinks?: NodeSinksView;
            /** True if its GPUs are simulated. */
            fake: boolean;
            phase: string;
            phase_since: string;
            /** When a draining node was found empty. */
            drained_at: null | string;
            verdict: string;
            reasons: string[];
            cordons: {
                product: CordonView | null;
                human: CordonView | null;
            };
            session_id: null | string;
            replaces: null | string;
            created_at: string;
            instance: {
                id: string;
                state: "INSTANCE_STATE_FAILED" | "INSTANCE_STATE_PENDING_REGISTRATION" | "INSTANCE_STATE_PROVISIONING" | "INSTANCE_STATE_RUNNING" | "INSTANCE_STATE_TERMINATED" | "INSTANCE_STATE_TERMINATING" | "INSTANCE_STATE_UNKNOWN";
                provider: string;
            } | null;
            agent_version: null | string;
            rma?: RmaView;
            health_events: HealthEventView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * forget an unmanaged node that is gone
 */
export function deleteNodesById(id: string, body?: {
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            node_id: string;
            forgotten_by: string;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}`, oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * set-up attempts of a node, with their output; commands for `operator` only
 */
export function getNodesByIdBootstrap(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: BootstrapView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/bootstrap`, {
        ...opts
    });
}
/**
 * why a node is as it is, and what happens next
 */
export function getNodesByIdExplain(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            subject: string;
            kind: string;
            state: string;
            since: null | string;
            /** Cause chain, oldest first, with the evidence in each. */
            causes: {
                at: null | string;
                text: string;
            }[];
            next: null | string;
            earliest: null | string;
            blockers: string[];
            /** Budgets around it, and their use. */
            limits?: string[];
            /** Commands that show more of it. */
            see?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/explain`, {
        ...opts
    });
}
/**
 * as for its node
 */
export function getInstancesByIdExplain(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            subject: string;
            kind: string;
            state: string;
            since: null | string;
            /** Cause chain, oldest first, with the evidence in each. */
            causes: {
                at: null | string;
                text: string;
            }[];
            next: null | string;
            earliest: null | string;
            blockers: string[];
            /** Budgets around it, and their use. */
            limits?: string[];
            /** Commands that show more of it. */
            see?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/instances/${encodeURIComponent(id)}/explain`, {
        ...opts
    });
}
/**
 * what the provider bills; filters `pool`, `provider`, `state`, `region`
 */
export function getInstances({ pool, provider, state, region }: {
    pool?: string;
    provider?: string;
    state?: string;
    region?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            instances: InstanceView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/instances${QS.query(QS.explode({
        pool,
        provider,
        state,
        region
    }))}`, {
        ...opts
    });
}
/**
 * an instance
 */
export function getInstancesById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: InstanceView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/instances/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * orders and their outcome; filter `node`
 */
export function getCommands({ node }: {
    node?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            commands: CommandView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/commands${QS.query(QS.explode({
        node
    }))}`, {
        ...opts
    });
}
/**
 * an order
 */
export function getCommandsById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/commands/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * order: keep new work off; body `reason`, `dry_run`
 */
export function postNodesByIdCordon(id: string, body?: {
    reason?: string;
    timeout?: string | null;
    force?: boolean;
    dry_run?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: 202;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/cordon`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * order: allow new work again; body `reason`, `dry_run`
 */
export function postNodesByIdUncordon(id: string, body?: {
    reason?: string;
    timeout?: string | null;
    force?: boolean;
    dry_run?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: 202;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/uncordon`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * order: move work off; body `reason`, `dry_run`, `timeout`, `force`
 */
export function postNodesByIdDrain(id: string, body?: {
    reason?: string;
    timeout?: string | null;
    force?: boolean;
    dry_run?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: 202;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/drain`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * order: drain, terminate; body as for `drain`
 */
export function postNodesByIdTerminate(id: string, body?: {
    reason?: string;
    timeout?: string | null;
    force?: boolean;
    dry_run?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: 202;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/terminate`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * order: drain, terminate, buy again; body as for `drain`
 */
export function postNodesByIdReplace(id: string, body?: {
    reason?: string;
    timeout?: string | null;
    force?: boolean;
    dry_run?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: 202;
        data: CommandView | {
            plan: string[];
            pods?: PodPlanView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/replace`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * pools
 */
export function getPools(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            pools: PoolView[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/pools", {
        ...opts
    });
}
/**
 * a pool
 */
export function getPoolsByPool(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: PoolView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}`, {
        ...opts
    });
}
/**
 * size, health, queue and limits of a pool
 */
export function getPoolsByPoolStatus(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: StatusView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/status`, {
        ...opts
    });
}
/**
 * why a pool is as it is, and what happens next
 */
export function getPoolsByPoolExplain(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/explain`, {
        ...opts
    });
}
/**
 * hold a pool: body `reason`, and `for` or `until`
 */
export function putPoolsByPoolHold(pool: string, body: {
    reason: string;
    "for"?: string | null;
    until?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: StatusView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/hold`, oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * lift the hold
 */
export function deletePoolsByPoolHold(pool: string, body?: {
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: StatusView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/hold`, oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * report a queue: body `pending_jobs`, `queue_depth`, `observed_at`
 */
export function putPoolsByPoolDemand(pool: string, body: {
    pending_jobs: number;
    queue_depth: number;
    observed_at?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: StatusView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/demand`, oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * set the size: body `nodes`, `clamp`
 */
export function putPoolsByPoolSize(pool: string, body: {
    nodes: number;
    reason?: string;
    clamp?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            total_nodes: number;
            healthy_nodes: number;
            unhealthy_nodes: number;
            cordoned_nodes: number;
            can_scale_up: boolean;
            can_scale_down: boolean;
            desired: number;
            provisioning: number;
            draining: number;
            min_nodes: number;
            max_nodes: number;
            utilization: null | number;
            pending_jobs: null | number;
            queue_depth: null | number;
            last_scale_at: null | string;
            hold: HoldView | null;
            /** Of the pool, the fleet, and its nodes' domains. */
            breakers: BreakerView[];
            suspects: SuspectView[];
            conditions: string[];
            cost?: PoolCostView;
            /** `null` = unknown. */
            queue: QueueView | null;
            /** The newest evaluation, or what is stored of one before this process started. */
            decision: DecisionView | null;
            /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
            cooldown_remaining_s: null | number;
            cannot_scale_up: null | string;
            places: PlaceView[];
            /** Of `total_nodes`, those that this fleet did not buy. */
            unmanaged_nodes: number;
            warnings?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/size`, oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * raise the size: body `by`, `clamp`
 */
export function postPoolsByPoolGrow(pool: string, body: {
    by: number;
    reason?: string;
    clamp?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            total_nodes: number;
            healthy_nodes: number;
            unhealthy_nodes: number;
            cordoned_nodes: number;
            can_scale_up: boolean;
            can_scale_down: boolean;
            desired: number;
            provisioning: number;
            draining: number;
            min_nodes: number;
            max_nodes: number;
            utilization: null | number;
            pending_jobs: null | number;
            queue_depth: null | number;
            last_scale_at: null | string;
            hold: HoldView | null;
            /** Of the pool, the fleet, and its nodes' domains. */
            breakers: BreakerView[];
            suspects: SuspectView[];
            conditions: string[];
            cost?: PoolCostView;
            /** `null` = unknown. */
            queue: QueueView | null;
            /** The newest evaluation, or what is stored of one before this process started. */
            decision: DecisionView | null;
            /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
            cooldown_remaining_s: null | number;
            cannot_scale_up: null | string;
            places: PlaceView[];
            /** Of `total_nodes`, those that this fleet did not buy. */
            unmanaged_nodes: number;
            warnings?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/grow`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * lower the size without choosing nodes: body `by` or `to`
 */
export function postPoolsByPoolShrinkTarget(pool: string, body?: {
    by?: number;
    to?: number;
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            total_nodes: number;
            healthy_nodes: number;
            unhealthy_nodes: number;
            cordoned_nodes: number;
            can_scale_up: boolean;
            can_scale_down: boolean;
            desired: number;
            provisioning: number;
            draining: number;
            min_nodes: number;
            max_nodes: number;
            utilization: null | number;
            pending_jobs: null | number;
            queue_depth: null | number;
            last_scale_at: null | string;
            hold: HoldView | null;
            /** Of the pool, the fleet, and its nodes' domains. */
            breakers: BreakerView[];
            suspects: SuspectView[];
            conditions: string[];
            cost?: PoolCostView;
            /** `null` = unknown. */
            queue: QueueView | null;
            /** The newest evaluation, or what is stored of one before this process started. */
            decision: DecisionView | null;
            /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
            cooldown_remaining_s: null | number;
            cannot_scale_up: null | string;
            places: PlaceView[];
            /** Of `total_nodes`, those that this fleet did not buy. */
            unmanaged_nodes: number;
            warnings?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/shrink-target`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * remove named nodes: body `nodes`
 */
export function postPoolsByPoolRemove(pool: string, body: {
    nodes: string[];
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            total_nodes: number;
            healthy_nodes: number;
            unhealthy_nodes: number;
            cordoned_nodes: number;
            can_scale_up: boolean;
            can_scale_down: boolean;
            desired: number;
            provisioning: number;
            draining: number;
            min_nodes: number;
            max_nodes: number;
            utilization: null | number;
            pending_jobs: null | number;
            queue_depth: null | number;
            last_scale_at: null | string;
            hold: HoldView | null;
            /** Of the pool, the fleet, and its nodes' domains. */
            breakers: BreakerView[];
            suspects: SuspectView[];
            conditions: string[];
            cost?: PoolCostView;
            /** `null` = unknown. */
            queue: QueueView | null;
            /** The newest evaluation, or what is stored of one before this process started. */
            decision: DecisionView | null;
            /** Whole seconds until the autoscaler may act again; `null` without an autoscaler. */
            cooldown_remaining_s: null | number;
            cannot_scale_up: null | string;
            places: PlaceView[];
            /** Of `total_nodes`, those that this fleet did not buy. */
            unmanaged_nodes: number;
            warnings?: string[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/remove`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * target size and nodes, for an external autoscaler
 */
export function getPoolsByPoolMembers(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: MembersView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent(pool)}/members`, {
        ...opts
    });
}
/**
 * [AgentPools](reference/agentpool.md): pools of worker pods
 */
export function getAgentpools(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            pools: {
                "namespace": string;
                name: string;
                /** `null` if it is not scaled. */
                min: null | number;
                max: null | number;
                size: number;
                /** Free slots less queued claims. */
                idle: number;
                queued: number;
                workers: {
                    Pending?: number;
                    Idle?: number;
                    Running?: number;
                    Unknown?: number;
                    Lost?: number;
                    NotifyDeleting?: number;
                    Deleting?: number;
                    Disconnected?: number;
                    NeedsRestart?: number;
                };
                /** Reason of what keeps it from its size, such as `AtMax`; `null` if nothing does. */
                reason: null | string;
            }[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/agentpools", {
        ...opts
    });
}
/**
 * an AgentPool, why it does not grow, workers, claims
 */
export function getAgentpoolsByNamespaceByPool($namespace: string, pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: AgentPoolView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/agentpools/${encodeURIComponent($namespace)}/${encodeURIComponent(pool)}`, {
        ...opts
    });
}
/**
 * the same, unless `:pool` is `status`, `explain` or `members`, as of a pool of machines
 */
export function getPoolsByNamespaceByPool($namespace: string, pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: AgentPoolView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent($namespace)}/${encodeURIComponent(pool)}`, {
        ...opts
    });
}
/**
 * open claims of an AgentPool, in order of arrival
 */
export function getPoolsByNamespaceByPoolClaims($namespace: string, pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            claims: ClaimView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent($namespace)}/${encodeURIComponent(pool)}/claims`, {
        ...opts
    });
}
/**
 * take one slot: body `label`, `ttl` (`5m`, or seconds), `id`; 201 with `worker` and `slot` or 202 with `position` and `because`; `id` or `Idempotency-Key` is the claim's id, and asked again under it the same claim is answered
 */
export function postPoolsByNamespaceByPoolClaims($namespace: string, pool: string, body?: {
    label?: string;
    ttl?: string | number;
    id?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ClaimView;
    } | {
        status: 201;
        data: ClaimView;
    } | {
        status: 202;
        data: ClaimView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/pools/${encodeURIComponent($namespace)}/${encodeURIComponent(pool)}/claims`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * open claims of all AgentPools
 */
export function getClaims(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            claims: ClaimView[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/claims", {
        ...opts
    });
}
/**
 * a claim; ended ones are kept for a day
 */
export function getClaimsById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ClaimView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/claims/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * release a claim, or cancel a queued one; repeated, it stays ended
 */
export function deleteClaimsById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ClaimView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/claims/${encodeURIComponent(id)}`, {
        ...opts,
        method: "DELETE"
    });
}
/**
 * what the fleet costs; `month` (YYYY-MM) or `since` (YYYY-MM-DD), UTC
 */
export function getCost({ month, since }: {
    month?: string;
    since?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: CostView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/cost${QS.query(QS.explode({
        month,
        since
    }))}`, {
        ...opts
    });
}
/**
 * how agents connect, and which key they trust
 */
export function getTrust(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: TrustView;
    } | {
        status: number;
        data: Error;
    }>("/v1/trust", {
        ...opts
    });
}
/**
 * what is held back, budgets, spend, quarantined GPUs
 */
export function getSafety(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: SafetyView;
    } | {
        status: number;
        data: Error;
    }>("/v1/safety", {
        ...opts
    });
}
/**
 * freeze the fleet: body `reason`, and `for` or `until`
 */
export function putSafetyFreeze(body: {
    reason: string;
    "for"?: string | null;
    until?: string | null;
    all?: boolean | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            frozen: HoldView | null;
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/safety/freeze", oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * lift the freeze
 */
export function deleteSafetyFreeze(body?: {
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            frozen: null;
            was_frozen: any;
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/safety/freeze", oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * re-enable a suspended rule: body `reason`
 */
export function putSafetyTrustedByRule(rule: string, body: {
    reason: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            rule: string;
            trusted_by: string;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/safety/trusted/${encodeURIComponent(rule)}`, oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * forgive a quarantined GPU: body `reason`
 */
export function deleteSafetyLemonsByUuid(uuid: string, body: {
    reason: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            uuid: string;
            forgiven_by: string;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/safety/lemons/${encodeURIComponent(uuid)}`, oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * this fleet's id, and other fleets with pools of the same names
 */
export function getFleets(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: FleetsView;
    } | {
        status: number;
        data: Error;
    }>("/v1/fleets", {
        ...opts
    });
}
/**
 * take over a fleet whose state was lost: body `reason`
 */
export function postFleetsByIdAdopt(id: string, body?: {
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: FleetChangeView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/fleets/${encodeURIComponent(id)}/adopt`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * leave another fleet alone: body `reason`
 */
export function postFleetsByIdIgnore(id: string, body?: {
    reason?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: FleetChangeView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/fleets/${encodeURIComponent(id)}/ignore`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * state of Slurm, and names on which it and the configuration differ
 */
export function getSlurm(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: SlurmClusterView;
    } | {
        status: number;
        data: Error;
    }>("/v1/slurm", {
        ...opts
    });
}
/**
 * whether Slurm lets the control plane change nodes
 */
export function getSlurmRights(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: SlurmRightsView;
    } | {
        status: number;
        data: Error;
    }>("/v1/slurm/rights", {
        ...opts
    });
}
/**
 * Slurm resumes nodes of pools with `slurm.power_save`: body `nodes` (a hostlist), `jobs`
 */
export function postSlurmResume(body: {
    nodes: string;
    jobs?: string[];
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            taken: string[];
            "unknown": string[];
            refused: any[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/slurm/resume", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * Slurm suspends nodes: body `nodes`
 */
export function postSlurmSuspend(body: {
    nodes: string;
    jobs?: string[];
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            taken: string[];
            "unknown": string[];
            refused: any[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/slurm/suspend", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * nodes came up too late for Slurm: body `nodes`
 */
export function postSlurmResumeFail(body: {
    nodes: string;
    jobs?: string[];
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            taken: string[];
            "unknown": string[];
            refused: any[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/slurm/resume-fail", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * whether faults may be injected, and which providers fail on purpose
 */
export function getSimulation(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: SimulationView;
    } | {
        status: number;
        data: Error;
    }>("/v1/simulation", {
        ...opts
    });
}
/**
 * faults injected into a simulated machine and not cleared
 */
export function getNodesByIdFaults(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            node_id: string;
            faults: FaultView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/faults`, {
        ...opts
    });
}
/**
 * inject a fault: body `kind` (`xid` with `code`, `ecc`, `thermal`, `nvlink`, `lost`), `gpu`
 */
export function postNodesByIdFaults(id: string, body?: {
    kind: "xid";
    code: number;
    gpu?: number;
} | {
    kind: "ecc" | "thermal" | "nvlink" | "lost";
    gpu?: number;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            node_id: string;
            fault: FaultView;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/faults`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * clear every injected fault of a machine
 */
export function deleteNodesByIdFaults(id: string, body?: {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            node_id: string;
            cleared: number;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/nodes/${encodeURIComponent(id)}/faults`, oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * let a simulated provider fail: body `class`, `for`, `calls`, `delay`
 */
export function putProvidersByNameFailure(name: string, body: {
    "class": "capacity" | "rate_limit" | "auth" | "outage" | "lost_reply" | "slow";
    "for"?: string | null;
    calls?: number | null;
    delay?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            provider: string;
            failure: FailureView;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/providers/${encodeURIComponent(name)}/failure`, oazapfts.json({
        ...opts,
        method: "PUT",
        body
    }));
}
/**
 * end that
 */
export function deleteProvidersByNameFailure(name: string, body?: {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            provider: string;
            failure: null;
            was_failing: any;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/providers/${encodeURIComponent(name)}/failure`, oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * events; filters `node`, `pool`, `kind`, `since`, `q` (text); pass `next` as `after`, or go back with `before`; `limit`
 */
export function getEvents({ node, pool, kind, since, q, after, before, limit }: {
    node?: string;
    pool?: string;
    kind?: "node.requested" | "node.booting" | "node.bootstrapping" | "node.bootstrapped" | "node.registered" | "node.verified" | "node.finding" | "node.health" | "node.suspect" | "node.unhealthy" | "node.cordoned" | "node.uncordoned" | "node.draining" | "node.drained" | "node.repairing" | "node.replacing" | "node.terminating" | "node.terminated" | "node.replaced" | "node.recovered" | "node.silent" | "node.heard" | "node.failed" | "node.held" | "node.gap" | "node.forgotten" | "instance.notice" | "instance.adopted" | "instance.lost" | "instance.surplus" | "pool.size" | "pool.condition" | "command.issued" | "command.finished" | "policy.loaded" | "config.loaded" | "safety.frozen" | "safety.breaker" | "safety.quarantine" | "safety.lemon" | "safety.released" | "fleet.adopted" | "fleet.ignored" | "provider.error" | "kube.matched" | "kube.changed" | "kube.lost" | "kube.not_ready" | "kube.ready" | "kube.left" | "kube.unproven" | "kube.hold" | "kube.hold_unclear" | "kube.cordoned" | "kube.uncordoned" | "kube.ambiguous" | "kube.refused" | "kube.uncordoned_broken" | "kube.uncordon_loop" | "slurm.matched" | "slurm.lost" | "slurm.drained" | "slurm.released" | "slurm.foreign" | "slurm.down" | "slurm.undrained" | "slurm.jobs_told" | "slurm.refused" | "slurm.pods" | "credential.created" | "credential.revoked" | "simulation.fault" | "simulation.provider" | "store.quarantined";
    since?: string;
    q?: string;
    after?: string;
    before?: string;
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            events: EventView[];
            next: null | number;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/events${QS.query(QS.explode({
        node,
        pool,
        kind,
        since,
        q,
        after,
        before,
        limit
    }))}`, {
        ...opts
    });
}
/**
 * pending actions and waits
 */
export function getPlan(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: PlanView;
    } | {
        status: number;
        data: Error;
    }>("/v1/plan", {
        ...opts
    });
}
/**
 * the active health policy
 */
export function getPolicy(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            version: string;
            hash: string;
            file: null | string;
            rules: any[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/policy", {
        ...opts
    });
}
/**
 * role and name of the caller
 */
export function getWhoami(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            role: string;
            name: string;
            shared: boolean;
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/whoami", {
        ...opts
    });
}
/**
 * version of the control plane
 */
export function getVersion(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: VersionView;
    } | {
        status: number;
        data: Error;
    }>("/v1/version", {
        ...opts
    });
}
/**
 * unreadable stored rows; their `text` for `admin` only
 */
export function getStoreQuarantine({ text }: {
    text?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            rows: any[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/store/quarantine${QS.query(QS.explode({
        text
    }))}`, {
        ...opts
    });
}
/**
 * every matching row as a file; filters of `/api/admin/audit`; `format` (`jsonl` or `csv`)
 */
export function getAuditExport({ actor, verb, kind, $object, result, since, until, format }: {
    actor?: string;
    verb?: string;
    kind?: string;
    $object?: string;
    result?: string;
    since?: string;
    until?: string;
    format?: "jsonl" | "csv";
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/v1/audit/export${QS.query(QS.explode({
        actor,
        verb,
        kind,
        "object": $object,
        result,
        since,
        until,
        format
    }))}`, {
        ...opts
    });
}
/**
 * audit rows; filters `since`, `by` (an author, or a person by the labels of tokens), `refused`, `verb`, `object`; `limit`
 */
export function getAudit({ limit, since, refused, by, verb, $object }: {
    limit?: string;
    since?: string;
    refused?: "true" | "false";
    by?: string;
    verb?: string;
    $object?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            audit: AuditView[];
            authors: string[] | null;
            older: boolean;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/audit${QS.query(QS.explode({
        limit,
        since,
        refused,
        by,
        verb,
        "object": $object
    }))}`, {
        ...opts
    });
}
/**
 * a copy of the embedded database
 */
export function postAdminBackup(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>("/v1/admin/backup", {
        ...opts,
        method: "POST"
    });
}
/**
 * the `last` activations, for support
 */
export function postAdminActivations({ last }: {
    last?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>(`/v1/admin/activations${QS.query(QS.explode({
        last
    }))}`, {
        ...opts,
        method: "POST"
    });
}
/**
 * recorded findings; `since`; pass `next` as `after`; `limit`
 */
export function getFindings({ since, after, limit }: {
    since?: string;
    after?: string;
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>(`/v1/findings${QS.query(QS.explode({
        since,
        after,
        limit
    }))}`, {
        ...opts
    });
}
/**
 * the active configuration, without secrets
 */
export function getConfig(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>("/v1/config", {
        ...opts
    });
}
/**
 * the files, whether they are in force, and why not
 */
export function getConfigStatus(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ConfigStatusView;
    } | {
        status: number;
        data: Error;
    }>("/v1/config/status", {
        ...opts
    });
}
/**
 * what another configuration changes: `config`, or the files now
 */
export function postConfigDiff(body?: {
    config?: any;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ConfigDiffView;
    } | {
        status: number;
        data: Error;
    }>("/v1/config/diff", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * read the files again; `allow_pool_removal` ends nodes of gone pools
 */
export function postConfigReload(body?: {
    allow_pool_removal?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: ReloadView;
    } | {
        status: number;
        data: Error;
    }>("/v1/config/reload", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * state of the cluster
 */
export function getKubernetes(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: KubernetesView;
    } | {
        status: number;
        data: Error;
    }>("/v1/kubernetes", {
        ...opts
    });
}
/**
 * permissions that are missing in the cluster
 */
export function getKubernetesPermissions(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: PermissionsView;
    } | {
        status: number;
        data: Error;
    }>("/v1/kubernetes/permissions", {
        ...opts
    });
}
/**
 * the newest upgrade of agents
 */
export function getUpgrade(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: UpgradeView;
    } | {
        status: number;
        data: Error;
    }>("/v1/upgrade", {
        ...opts
    });
}
/**
 * start an upgrade: body `to`, `max_unavailable`, `deadline`
 */
export function postUpgrade(body: {
    to: string;
    max_unavailable?: string;
    deadline?: string | null;
    force?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: UpgradeView;
    } | {
        status: 202;
        data: UpgradeView;
    } | {
        status: number;
        data: Error;
    }>("/v1/upgrade", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * stop the upgrade: body `reason`, `rollback`
 */
export function deleteUpgrade(body?: {
    reason?: string;
    rollback?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: UpgradeView;
    } | {
        status: number;
        data: Error;
    }>("/v1/upgrade", oazapfts.json({
        ...opts,
        method: "DELETE",
        body
    }));
}
/**
 * tokens of people; with `node`, the credential of a node
 */
export function getTokens({ node }: {
    node?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            tokens: TokenView[];
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/tokens${QS.query(QS.explode({
        node
    }))}`, {
        ...opts
    });
}
/**
 * create a token: body `role`, `label`, `expires_in`
 */
export function postTokens(body: {
    role: "admin" | "operator" | "viewer" | "node" | "slurm";
    label?: string;
    expires_in?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 201;
        data: TokenView;
    } | {
        status: number;
        data: Error;
    }>("/v1/tokens", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * revoke a token
 */
export function deleteTokensById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: TokenView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/tokens/${encodeURIComponent(id)}`, {
        ...opts,
        method: "DELETE"
    });
}
/**
 * rotate the credential `node:ID`
 */
export function postTokensByIdRotate(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: TokenView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/tokens/${encodeURIComponent(id)}/rotate`, {
        ...opts,
        method: "POST"
    });
}
/**
 * a link that logs a browser in once, as the caller; `path` on the same address, 10 minutes
 */
export function postConsoleLinks(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: LoginLinkView;
    } | {
        status: number;
        data: Error;
    }>("/v1/console/links", {
        ...opts,
        method: "POST"
    });
}
/**
 * join tokens
 */
export function getJoinTokens(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            join_tokens: JoinTokenView[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/join-tokens", {
        ...opts
    });
}
/**
 * create a join token: body `pool`, `node`, `uses`, `ttl`, `label`
 */
export function postJoinTokens(body: {
    pool: string;
    node?: string | null;
    uses?: number;
    ttl?: string | null;
    label?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 201;
        data: {
            id: string;
            pool: string;
            node_id: null | string;
            label: string;
            state: "expired" | "open" | "revoked" | "used";
            uses: number;
            uses_max: number;
            created_at: string;
            created_by: string;
            expires_at: string;
            revoked_at: null | string;
            token: string;
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/join-tokens", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * revoke a join token
 */
export function deleteJoinTokensById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: JoinTokenView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/join-tokens/${encodeURIComponent(id)}`, {
        ...opts,
        method: "DELETE"
    });
}
/**
 * a machine becomes a node
 */
export function postAgentJoin(body: {
    token: string;
    node_id: string;
    nonce: string;
    agent_version?: string | null;
    hostname?: string | null;
    provider_ids?: string[] | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            /** The id as the control plane knows it. */
            node_id: string;
            credential: string;
            server_time: string;
        };
    } | {
        status: 201;
        data: {
            /** The id as the control plane knows it. */
            node_id: string;
            credential: string;
            server_time: string;
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/agent/join", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * the same for the console; filters `actor`, `verb`, `kind`, `object`, `result`, `until`, `since` (a time, or `boot`); `limit`, `cursor`; the next page is in `Link`; only from internal networks
 */
export function getAdminAudit({ actor, verb, kind, $object, result, since, until, limit, cursor }: {
    actor?: string;
    verb?: string;
    kind?: string;
    $object?: string;
    result?: string;
    since?: string;
    until?: string;
    limit?: string;
    cursor?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            id: number;
            ts: string;
            actor: string;
            role: null | string;
            ip: string;
            verb: string;
            kind: null | string;
            "namespace": null | string;
            name: null | string;
            result: string;
            /** An object in rows of marks. */
            detail: {
                outcome: string;
                text: string;
            } | string;
            requestId: string;
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/audit${QS.query(QS.explode({
        actor,
        verb,
        kind,
        "object": $object,
        result,
        since,
        until,
        limit,
        cursor
    }))}`, {
        ...opts
    });
}
/**
 * [counts, health and utilisation](console.md#the-cluster) of the cluster; `namespace`
 */
export function getAdminKubernetesStats({ $namespace }: {
    $namespace?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            nodes: number;
            pods: {
                total: number;
                running: number;
                pending: number;
                failed: number;
                succeeded: number;
                "unknown": number;
            };
            deployments: number;
            services: number;
            health: "degraded" | "healthy" | "unhealthy";
            utilisation: {
                memory: {
                    /** `null`: not known, as without the permission to list volumes. */
                    allocatable: null | number;
                    requested: null | number;
                    /** Measured by `metrics.k8s.io`. */
                    used?: number;
                    /** Of `allocatable`, by `basis`; `null` if nothing is allocatable. */
                    percent: null | number;
                    basis: "requested" | "used";
                };
                cpu: {
                    /** `null`: not known, as without the permission to list volumes. */
                    allocatable: null | number;
                    requested: null | number;
                    /** Measured by `metrics.k8s.io`. */
                    used?: number;
                    /** Of `allocatable`, by `basis`; `null` if nothing is allocatable. */
                    percent: null | number;
                    basis: "requested" | "used";
                };
                gpu: {
                    /** `null`: not known, as without the permission to list volumes. */
                    allocatable: null | number;
                    requested: null | number;
                    /** Measured by `metrics.k8s.io`. */
                    used?: number;
                    /** Of `allocatable`, by `basis`; `null` if nothing is allocatable. */
                    percent: null | number;
                    basis: "requested" | "used";
                };
                storage: {
                    /** `null`: not known, as without the permission to list volumes. */
                    allocatable: null | number;
                    requested: null | number;
                    /** Measured by `metrics.k8s.io`. */
                    used?: number;
                    /** Of `allocatable`, by `basis`; `null` if nothing is allocatable. */
                    percent: null | number;
                    basis: "requested" | "used";
                };
            };
            /** Beside the cluster's health: pools below their minimum, and nodes in repair. */
            fleet: {
                below_minimum: {
                    pool: string;
                    serving: number;
                    minimum: number;
                }[];
                in_repair: number;
            };
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/stats${QS.query(QS.explode({
        "namespace": $namespace
    }))}`, {
        ...opts
    });
}
/**
 * its pods; `namespace`, `limit` (at most 10,000), `continue`; the next page is in `Link`
 */
export function getAdminKubernetesPods({ $namespace, limit, $continue }: {
    $namespace?: string;
    limit?: string;
    $continue?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            "namespace": string;
            /** As `kubectl get pods` prints it. */
            status: string;
            phase: string;
            /** Empty = not scheduled. */
            nodeName: string;
            ip: string;
            startTime: null | string;
            containers: ContainerView[];
            initContainers: ContainerView[];
            labels: {
                [key: string]: any;
            };
            conditions: {
                "type": string;
                status: string;
                lastTransitionTime: null | string;
                reason?: string;
                message?: string;
            }[];
            uid: string;
            creationTimestamp: null | string;
            /** Since its deletion began; `null` = it has not. */
            deletionTimestamp: null | string;
            /** The controller that replaces it; `null`: nothing does. */
            owner: {
                kind: string;
                name: string;
            } | null;
            /** The kubelet runs it from a file: the API only mirrors it. */
            isMirror: boolean;
            resources: {
                /** Requests or limits in total: `{cpu: 1.5, memory: 1073741824, "nvidia.com/gpu": 1}`. */
                requests: {
                    [key: string]: any;
                };
                /** Requests or limits in total: `{cpu: 1.5, memory: 1073741824, "nvidia.com/gpu": 1}`. */
                limits: {
                    [key: string]: any;
                };
            };
            /** Seconds since its creation. */
            age: number;
            /** `null`: not stuck. */
            stuck: ("ContainerCreating" | "CrashLoopBackOff" | "ImagePullBackOff" | "Pending") | null;
            /** It belongs to a Deployment's rollout of the last half hour. */
            scaling: boolean;
            /** Empty unless it is stuck or failed. */
            suggestions: {
                cause: string;
                resolution: string;
            }[];
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/pods${QS.query(QS.explode({
        "namespace": $namespace,
        limit,
        "continue": $continue
    }))}`, {
        ...opts
    });
}
/**
 * its Nodes, with what the fleet knows of their machines
 */
export function getAdminKubernetesNodes(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            /** `Ready`, `NotReady` or `Unknown`, with `,SchedulingDisabled` while it is cordoned. */
            status: string;
            uid: string;
            capacity: {
                cpu: number;
                memory: number;
                pods: number;
            };
            version: string;
            roles: string[];
            internalIP: string;
            externalIP?: string;
            osImage: string;
            kernelVersion: string;
            containerRuntime: string;
            conditions: {
                "type": string;
                status: string;
                lastHeartbeatTime: null | string;
                reason?: string;
                message?: string;
            }[];
            allocatable: {
                cpu: number;
                memory: number;
                pods: number;
            };
            creationTimestamp: null | string;
            labels: {
                [key: string]: any;
            };
            unschedulable: boolean;
            taints: TaintView[];
            cordon: {
                /** `navarch`, a person of this fleet, or the field manager that set it, as `kubectl-cordon`. */
                owner: string;
                reason: null | string;
                since: null | string;
                /** Unschedulable before Navarch's own mark. */
                preexisting: boolean;
            } | null;
            /** Id in the fleet; `null`: it is none of this fleet's. */
            node: null | string;
            pool: null | string;
            gpu: {
                count: number;
                allocatable: number;
                /** `healthy`, `degraded`, `unhealthy`, `unknown`; `unmanaged` outside the fleet. */
                verdict: string;
                /** The evidence that decides the verdict. */
                worst: null | string;
            };
            repair: {
                id: string;
                since: string;
                /** The step under way: `draining`, `repairing`, `replacing` … */
                step: string;
                stepSince: string;
                reasons: string[];
            } | null;
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/admin/kubernetes/nodes", {
        ...opts
    });
}
/**
 * its Deployments; `namespace`
 */
export function getAdminKubernetesDeployments({ $namespace }: {
    $namespace?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            "namespace": string;
            replicas: number;
            availableReplicas: number;
            updatedReplicas: number;
            readyReplicas: number;
            strategy: string;
            conditions: {
                "type": string;
                status: string;
                lastUpdateTime: null | string;
                reason?: string;
                message?: string;
            }[];
            labels: {
                [key: string]: any;
            };
            selector: {
                [key: string]: any;
            };
            creationTimestamp: null | string;
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/deployments${QS.query(QS.explode({
        "namespace": $namespace
    }))}`, {
        ...opts
    });
}
/**
 * its events, newest first; `namespace`, `type` (or a category), `kind`, `name`, `q`; `limit`
 */
export function getAdminKubernetesEvents({ $namespace, $type, kind, name, q, limit }: {
    $namespace?: string;
    $type?: string;
    kind?: string;
    name?: string;
    q?: string;
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            "namespace": string;
            "type": string;
            reason: string;
            message: string;
            count: number;
            firstTimestamp: null | string;
            lastTimestamp: null | string;
            involvedObject: {
                kind: string;
                name: string;
                "namespace": string;
            };
            source: {
                component: string;
                host?: string;
            };
            category: "error" | "normal" | "warning";
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/events${QS.query(QS.explode({
        "namespace": $namespace,
        "type": $type,
        kind,
        name,
        q,
        limit
    }))}`, {
        ...opts
    });
}
/**
 * evict a pod: body `namespace`, `force`; 429 while a disruption budget does not allow it
 */
export function postAdminKubernetesPodsByPodRestart(pod: string, body?: {
    "namespace"?: string;
    force?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            success: boolean;
            message: string;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/pods/${encodeURIComponent(pod)}/restart`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * delete a pod without grace: body `namespace`, `force`
 */
export function postAdminKubernetesPodsByPodKill(pod: string, body?: {
    "namespace"?: string;
    force?: boolean;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            success: boolean;
            message: string;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/pods/${encodeURIComponent(pod)}/kill`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * Flux objects; `Warning` names kinds that are not served
 */
export function getAdminKubernetesFlux(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            name: string;
            "namespace": string;
            "type": "GitRepository" | "HelmRelease" | "HelmRepository" | "Kustomization";
            /** As the cluster serves it: `helm.toolkit.fluxcd.io/v2`. */
            apiVersion: string;
            status: "Failed" | "Reconciled" | "Reconciling" | "Suspended";
            /** `GitRepository/flux-system`, or the URL of a repository. */
            source: null | string;
            revision: null | string;
            lastUpdated: null | string;
            conditions: {
                "type": string;
                status: string;
                lastTransitionTime: null | string;
                reason?: string;
                message?: string;
            }[];
            /** The message of a Ready condition that is `False`. */
            error: null | string;
            suggestions: {
                cause: string;
                resolution: string;
            }[];
        }[];
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/admin/kubernetes/flux", {
        ...opts
    });
}
/**
 * request the reconciliation of a Flux object; `:kind` is such as `helmrelease`
 */
export function postAdminKubernetesFluxByKindByNamespaceByNameReconcile(kind: string, $namespace: string, name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            success: boolean;
            message: string;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/flux/${encodeURIComponent(kind)}/${encodeURIComponent($namespace)}/${encodeURIComponent(name)}/reconcile`, {
        ...opts,
        method: "POST"
    });
}
/**
 * suspend it
 */
export function postAdminKubernetesFluxByKindByNamespaceByNameSuspend(kind: string, $namespace: string, name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            success: boolean;
            message: string;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/flux/${encodeURIComponent(kind)}/${encodeURIComponent($namespace)}/${encodeURIComponent(name)}/suspend`, {
        ...opts,
        method: "POST"
    });
}
/**
 * resume it
 */
export function postAdminKubernetesFluxByKindByNamespaceByNameResume(kind: string, $namespace: string, name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            success: boolean;
            message: string;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/flux/${encodeURIComponent(kind)}/${encodeURIComponent($namespace)}/${encodeURIComponent(name)}/resume`, {
        ...opts,
        method: "POST"
    });
}
/**
 * a container's log; `namespace`, `container`, `tailLines`, `previous`; with `follow=true` server-sent events
 */
export function getAdminKubernetesLogsByPod(pod: string, { $namespace, container, tailLines, previous, follow }: {
    $namespace?: string;
    container?: string;
    tailLines?: string;
    previous?: "true" | "false" | "1" | "0" | "";
    follow?: "true" | "false" | "1" | "0" | "";
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            podName: string;
            containerName: string;
            "namespace": string;
            /** As the container wrote it, control characters included. */
            logs: string;
            /** When it was read. */
            timestamp: string;
            /** All containers of the pod, init containers last. */
            containers: string[];
            /** Cut at the limit of bytes: the newest lines are missing. */
            truncated: boolean;
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/logs/${encodeURIComponent(pod)}${QS.query(QS.explode({
        "namespace": $namespace,
        container,
        tailLines,
        previous,
        follow
    }))}`, {
        ...opts
    });
}
/**
 * cordon the machine of a Node: body `reason`
 */
export function postAdminKubernetesNodesByNameCordon(name: string, body: {
    reason: string;
    force?: boolean;
    timeout?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/nodes/${encodeURIComponent(name)}/cordon`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * uncordon it; a cordon of others is refused with its owner's name
 */
export function postAdminKubernetesNodesByNameUncordon(name: string, body: {
    reason: string;
    force?: boolean;
    timeout?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/nodes/${encodeURIComponent(name)}/uncordon`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * drain it
 */
export function postAdminKubernetesNodesByNameDrain(name: string, body: {
    reason: string;
    force?: boolean;
    timeout?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/nodes/${encodeURIComponent(name)}/drain`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * replace it
 */
export function postAdminKubernetesNodesByNameReplace(name: string, body: {
    reason: string;
    force?: boolean;
    timeout?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/admin/kubernetes/nodes/${encodeURIComponent(name)}/replace`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * [profile of a workload](queue.md#workload-profiles): body `quality`, `tier`, `priority`; only from internal networks
 */
export function postAllocations(body: {
    quality?: "low" | "medium" | "high";
    tier: "free" | "standard" | "premium";
    priority: "high" | "medium" | "low";
    input?: number;
    history?: number;
    preference?: "speed" | "balanced" | "quality";
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/allocations", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * tasks of the [demand queue](queue.md), newest first; filter `state`; `limit`, `cursor`; the next page is in `Link`; only from internal networks, as all of `/api/queue`
 */
export function getQueueTasks({ state, limit, cursor }: {
    state?: "pending" | "running" | "completed" | "failed" | "cancelled";
    limit?: string;
    cursor?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks${QS.query(QS.explode({
        state,
        limit,
        cursor
    }))}`, {
        ...opts
    });
}
/**
 * submit a task: body `class`, `priority`, `type`, `pool`, `gpus`, `hold`, `payload`; under an `Idempotency-Key`, its id, it is one task; 429 with `Retry-After` when the class is full
 */
export function postQueueTasks(body: {
    "class": "interactive" | "batch" | "maintenance";
    priority?: "high" | "medium" | "low" | "batch";
    "type": string;
    pool?: string | null;
    gpus?: number;
    hold?: boolean;
    payload?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/queue/tasks", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * take tasks to run: body `worker`, `types`, `pool`, `max`; `Idempotency-Key` is the lease
 */
export function postQueueTasksLease(body: {
    worker: string;
    types?: string[];
    pool?: string | null;
    max?: number;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/queue/tasks/lease", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * a task; finished ones are kept for 7 days
 */
export function getQueueTasksById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * cancel a task that waits or runs; 409 if it is finished
 */
export function deleteQueueTasksById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}`, {
        ...opts,
        method: "DELETE"
    });
}
/**
 * end the hold of a task
 */
export function postQueueTasksByIdRelease(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}/release`, {
        ...opts,
        method: "POST"
    });
}
/**
 * keep a lease: body `lease`
 */
export function postQueueTasksByIdHeartbeat(id: string, body: {
    lease: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}/heartbeat`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * a task is done: body `lease`, `result`
 */
export function postQueueTasksByIdComplete(id: string, body: {
    lease: string;
    result?: string | null;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}/complete`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * an attempt failed: body `lease`, `error`
 */
export function postQueueTasksByIdFail(id: string, body: {
    lease: string;
    error?: string;
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/queue/tasks/${encodeURIComponent(id)}/fail`, oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * what [HorizontalPodAutoscalers](queue.md#scaling-pods) did, newest first; `limit` (100), `namespace`; only from internal networks, as all of `/api/hpa-events`
 */
export function getHpaEvents({ $namespace, limit }: {
    $namespace?: string;
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            events: {
                timestamp: string;
                kind: "limited-scale" | "scale-down" | "scale-up";
                "namespace": string;
                /** The name of the scaled object; a service is namespace and name. */
                service: string;
                hpa: string;
                fromReplicas: number;
                toReplicas: number;
                minReplicas: number;
                maxReplicas: number;
                /** `null`: no metric has a value. */
                trigger: {
                    /** `Resource`, `Pods`, `External`…, as in `autoscaling/v2`. */
                    "type": string;
                    metric: string;
                    measure: "average" | "utilization" | "value";
                    value: number;
                    threshold: number;
                } | null;
                limitingFactor: ("max-replicas" | "min-replicas" | "other" | "scale-down-rate" | "scale-up-rate") | null;
                message: null | string;
            }[];
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/hpa-events${QS.query(QS.explode({
        "namespace": $namespace,
        limit
    }))}`, {
        ...opts
    });
}
/**
 * of one service: `NAME`, or `NAMESPACE%2FNAME`
 */
export function getHpaEventsByService(service: string, { $namespace, limit }: {
    $namespace?: string;
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            events: {
                timestamp: string;
                kind: "limited-scale" | "scale-down" | "scale-up";
                "namespace": string;
                /** The name of the scaled object; a service is namespace and name. */
                service: string;
                hpa: string;
                fromReplicas: number;
                toReplicas: number;
                minReplicas: number;
                maxReplicas: number;
                /** `null`: no metric has a value. */
                trigger: {
                    /** `Resource`, `Pods`, `External`…, as in `autoscaling/v2`. */
                    "type": string;
                    metric: string;
                    measure: "average" | "utilization" | "value";
                    value: number;
                    threshold: number;
                } | null;
                limitingFactor: ("max-replicas" | "min-replicas" | "other" | "scale-down-rate" | "scale-up-rate") | null;
                message: null | string;
            }[];
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/hpa-events/${encodeURIComponent(service)}${QS.query(QS.explode({
        "namespace": $namespace,
        limit
    }))}`, {
        ...opts
    });
}
/**
 * replicas, metrics, events and the queue's depth of the last two hours
 */
export function getHpaEventsByServiceTimeline(service: string, { $namespace }: {
    $namespace?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            /** `NAMESPACE/NAME`. */
            service: string;
            /** The last look at the cluster. */
            until: string;
            /** Several autoscalers of one object are a mistake that Kubernetes allows. */
            autoscalers: {
                hpa: string;
                samples: {
                    timestamp: string;
                    currentReplicas: null | number;
                    desiredReplicas: null | number;
                    minReplicas: number;
                    maxReplicas: number;
                    /** CPU, memory, the queue's depth: whatever it scales by and has a value of. */
                    metrics: {
                        /** `Resource`, `Pods`, `External`…, as in `autoscaling/v2`. */
                        "type": string;
                        metric: string;
                        measure: "average" | "utilization" | "value";
                        value: number;
                        threshold: number;
                    }[];
                }[];
            }[];
            /** Newest first. */
            events: {
                timestamp: string;
                kind: "limited-scale" | "scale-down" | "scale-up";
                "namespace": string;
                /** The name of the scaled object; a service is namespace and name. */
                service: string;
                hpa: string;
                fromReplicas: number;
                toReplicas: number;
                minReplicas: number;
                maxReplicas: number;
                /** `null`: no metric has a value. */
                trigger: {
                    /** `Resource`, `Pods`, `External`…, as in `autoscaling/v2`. */
                    "type": string;
                    metric: string;
                    measure: "average" | "utilization" | "value";
                    value: number;
                    threshold: number;
                } | null;
                limitingFactor: ("max-replicas" | "min-replicas" | "other" | "scale-down-rate" | "scale-up-rate") | null;
                message: null | string;
            }[];
            queue: {
                timestamp: string;
                depth: {
                    high: number;
                    low: number;
                    medium: number;
                    batch: number;
                };
            }[];
        };
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/hpa-events/${encodeURIComponent(service)}/timeline${QS.query(QS.explode({
        "namespace": $namespace
    }))}`, {
        ...opts
    });
}
/**
 * reported runs, newest first, with stages and suggestions; `limit`
 */
export function getPipelines({ limit }: {
    limit?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>(`/api/pipelines${QS.query(QS.explode({
        limit
    }))}`, {
        ...opts
    });
}
/**
 * report a run of a CI/CD pipeline; no token, but `X-Hub-Signature-256` under `server.console.pipeline_secret_file`; 202 with `accepted` ([console](console.md#pipelines))
 */
export function postPipelines(body: {
    id: string;
    name: string;
    status: "success" | "running" | "failed" | "pending" | "skipped";
    branch: string;
    commit: string;
    commitMessage: string;
    author: string;
    startTime: string;
    endTime?: string | null;
    stages: {
        name: string;
        status: "success" | "running" | "failed" | "pending" | "skipped";
        duration: number;
        error?: string | null;
    }[];
}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: {
            error: string;
            code: "invalid_argument" | "unauthenticated" | "permission_denied" | "not_found" | "node_unknown" | "conflict" | "out_of_bounds" | "not_cordoned" | "gone" | "precondition_failed" | "too_large" | "rate_limited" | "budget_blocked" | "internal" | "cluster_unreachable" | "unavailable" | "not_leader" | "cluster_slow";
        };
    }>("/api/pipelines", oazapfts.json({
        ...opts,
        method: "POST",
        body
    }));
}
/**
 * run a workflow; the body is its YAML, or JSON with `workflow` and `templates`; `cleanup=true`; 202; refused without `simulation.enabled` and a cluster
 */
export function postWorkflows({ cleanup }: {
    cleanup?: "true" | "false";
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 202;
        data: WorkflowRunView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/workflows${QS.query(QS.explode({
        cleanup
    }))}`, {
        ...opts,
        method: "POST"
    });
}
/**
 * runs of workflows, newest first
 */
export function getWorkflows(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            workflows: {
                name: string;
                /** Task and cause of a failure, or why a run is `lost` or `cancelled`. */
                error: null | string;
                /** `lost`: the control plane ended before the run did, and nothing was undone. */
                state: "cancelled" | "failed" | "lost" | "passed" | "queued" | "running";
                id: string;
                submitted_by: string;
                submitted_at: string;
                started_at: null | string;
                ended_at: null | string;
                duration_ms: null | number;
                /** What it creates is removed when it ends. */
                cleanup: boolean;
                /** `managedFields[].manager` of what it creates. */
                field_manager: string;
            }[];
        };
    } | {
        status: number;
        data: Error;
    }>("/v1/workflows", {
        ...opts
    });
}
/**
 * a run with its tasks; `lost` if its control plane ended first
 */
export function getWorkflowsById(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: WorkflowRunView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/workflows/${encodeURIComponent(id)}`, {
        ...opts
    });
}
/**
 * what a run tells: server-sent events, or pages as JSON; `after`, `wait_ms`
 */
export function getWorkflowsByIdEvents(id: string, { after, waitMs }: {
    after?: string;
    waitMs?: string;
} = {}, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            events: ({
                seq: number;
                kind: "line";
                level: "detail" | "info" | "warning";
                text: string;
            } | {
                seq: number;
                kind: "task";
                index: number;
                task: TaskView;
            } | {
                seq: number;
                kind: "run";
                /** `lost`: the control plane ended before the run did, and nothing was undone. */
                state: "cancelled" | "failed" | "lost" | "passed" | "queued" | "running";
                error: null | string;
            })[];
            /** Events after `after` that are no longer kept. */
            dropped: number;
            next: number;
            ended: boolean;
        };
    } | {
        status: number;
        data: Error;
    }>(`/v1/workflows/${encodeURIComponent(id)}/events${QS.query(QS.explode({
        after,
        wait_ms: waitMs
    }))}`, {
        ...opts
    });
}
/**
 * end a run; one that waits never begins
 */
export function postWorkflowsByIdCancel(id: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 202;
        data: WorkflowRunView;
    } | {
        status: number;
        data: Error;
    }>(`/v1/workflows/${encodeURIComponent(id)}/cancel`, {
        ...opts,
        method: "POST"
    });
}
/**
 * AgentPools, for clients of Velda's API
 */
export function getRestPool(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            pools: {
                name: string;
                "namespace": string;
                description: string;
                /** Empty and `null` while there is no error. */
                autoscalerStatus: {
                    lastAllocationError: string;
                    lastAllocationErrorTime: null | string;
                };
            }[];
        };
    } | {
        status: number;
        data: Error;
    }>("/rest/pool", {
        ...opts
    });
}
/**
 * one of them; `:pool` is `NAME`, or `NAMESPACE%2FNAME`; `namespace`
 */
export function getRestPoolByPool(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: {
            /** A pool as upstream's `/rest/pool` shows it, with its namespace. */
            pool: {
                name: string;
                "namespace": string;
                description: string;
                /** Empty and `null` while there is no error. */
                autoscalerStatus: {
                    lastAllocationError: string;
                    lastAllocationErrorTime: null | string;
                };
            };
        };
    } | {
        status: number;
        data: Error;
    }>(`/rest/pool/${encodeURIComponent(pool)}`, {
        ...opts
    });
}
/**
 * its status now and after each change; one JSON object a line
 */
export function getRestPoolByPoolWatch(pool: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/rest/pool/${encodeURIComponent(pool)}/watch`, {
        ...opts
    });
}
/**
 * this API in OpenAPI 3.1
 */
export function getOpenapiJson(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: any;
    } | {
        status: number;
        data: Error;
    }>("/openapi.json", {
        ...opts
    });
}
/**
 * the process runs
 */
export function getHealthz(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/healthz", {
        ...opts
    });
}
/**
 * ready, and a line for each part that is degraded; or 503 with the reasons
 */
export function getReadyz(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/readyz", {
        ...opts
    });
}
/**
 * [metrics](metrics.md)
 */
export function getMetrics(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/metrics", {
        ...opts
    });
}
/**
 * the fleet's own certificate authority
 */
export function getCaPem(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/ca.pem", {
        ...opts
    });
}
/**
 * style, script and icon of the [console](console.md)
 */
export function getAssetByName(name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/asset/${encodeURIComponent(name)}`, {
        ...opts
    });
}
/**
 * the installer of the agent
 */
export function getInstallSh(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/install.sh", {
        ...opts
    });
}
/**
 * the key that signs releases
 */
export function getReleasesKeyPem(opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>("/releases/key.pem", {
        ...opts
    });
}
/**
 * a file of a release
 */
export function getReleasesByVersionByName(version: string, name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/releases/${encodeURIComponent(version)}/${encodeURIComponent(name)}`, {
        ...opts
    });
}
/**
 * as the guide downloads it
 */
export function getNavarchProjectNavarchReleasesLatestDownloadByName(name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/NavarchProject/navarch/releases/latest/download/${encodeURIComponent(name)}`, {
        ...opts
    });
}
/**
 * as the guide downloads it
 */
export function getNavarchProjectNavarchReleasesDownloadByVersionByName(version: string, name: string, opts?: Oazapfts.RequestOpts) {
    return oazapfts.fetchJson<{
        status: 200;
        data: string;
    } | {
        status: number;
        data: Error;
    }>(`/NavarchProject/navarch/releases/download/${encodeURIComponent(version)}/${encodeURIComponent(name)}`, {
        ...opts
    });
}
