//! Forklift's closed vocabularies, one byte a word.
//!
//! `forklift` reads them from objects, `metrics` and `http` print them. A word that is in no list becomes `Unknown`
//! and is counted by the decoder: it is never an error and never a failure.

/// An enum with a fixed text for each variant: `ALL` in order of declaration, `as_str`, and `Display`.
macro_rules! closed_enum {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum $name { $($(#[$doc])* #[doc = concat!("\n\nWritten `", $text, "`.")] $variant),+ }

        impl $name {
            /// Every variant, in order of declaration.
            pub const ALL: &[Self] = &[$(Self::$variant),+];

            /// The text that labels, messages and the API show.
            pub fn as_str(self) -> &'static str {
                match self { $(Self::$variant => $text),+ }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.pad(self.as_str())
            }
        }
    };
}

/// A [`closed_enum`] that is read from objects: `parse` gives `Unknown` for whatever is not in the list.
macro_rules! vocabulary {
    ($(#[$meta:meta])* pub enum $name:ident { $($(#[$doc:meta])* $variant:ident = $text:literal),+ $(,)? }) => {
        closed_enum! {
            $(#[$meta])*
            #[derive(Default)]
            pub enum $name {
                $($(#[$doc])* $variant = $text,)+
                /// A word that this version does not know, or none at all.
                #[default]
                Unknown = "Unknown",
            }
        }

        impl $name {
            /// The variant with this text; `Unknown` if there is none.
            pub fn parse(text: &str) -> Self {
                match text { $($text => Self::$variant,)+ _ => Self::Unknown }
            }
        }
    };
}

vocabulary! {
    /// What a plan does (`spec.type`). Source: Forklift `api/plan.go`.
    pub enum MigrationType { Cold = "cold", Warm = "warm", Live = "live", Conversion = "conversion" }
}

vocabulary! {
    /// What a provider is (`spec.type`). Source: Forklift `api/provider.go`.
    pub enum ProviderType {
        OpenShift = "openshift", VSphere = "vsphere", OVirt = "ovirt", OpenStack = "openstack",
        Ova = "ova", Ec2 = "ec2", HyperV = "hyperv", Nutanix = "nutanix",
    }
}

vocabulary! {
    /// A provider's `status.phase`, the only phase that Forklift stores.
    pub enum ProviderPhase {
        Staging = "Staging", ValidationFailed = "ValidationFailed", ConnectionFailed = "ConnectionFailed", Ready = "Ready",
    }
}

vocabulary! {
    /// The phase of a pipeline step or task. The Cutover step and untouched tasks have none.
    pub enum StepPhase { Pending = "Pending", Started = "Started", Running = "Running", Completed = "Completed" }
}

vocabulary! {
    /// A pipeline step (`vms[].pipeline[].name`), over all kinds of migration and source.
    pub enum StepName {
        Initialize = "Initialize", PreHook = "PreHook", PreflightInspection = "PreflightInspection",
        DiskAllocation = "DiskAllocation", DiskTransfer = "DiskTransfer", DiskTransferV2v = "DiskTransferV2v",
        ConvertOpenstackSnapshot = "ConvertOpenstackSnapshot", Cutover = "Cutover", ImageConversion = "ImageConversion",
        VirtualMachineCreation = "VirtualMachineCreation", WaitForGuestReboots = "WaitForGuestReboots", PostHook = "PostHook",
        WaitForFinalSnapshotConsolidation = "WaitForFinalSnapshotConsolidation",
        PrepareTarget = "PrepareTarget", Synchronization = "Synchronization",
        PrepareSource = "PrepareSource", CreateSnapshots = "CreateSnapshots", ShareSnapshots = "ShareSnapshots",
        CreateVm = "CreateVM", Cleanup = "Cleanup",
    }
}

vocabulary! {
    /// Where a VM stands in its itinerary (`vms[].phase`). Says nothing about the outcome: a VM that failed, one that
    /// succeeded and most that were canceled all end in `Completed`.
    pub enum Stage {
        Started = "Started", PreHook = "PreHook", PostHook = "PostHook", Completed = "Completed",
        // cold and warm, every source but the two below
        AddCheckpoint = "AddCheckpoint", AddFinalCheckpoint = "AddFinalCheckpoint", AllocateDisks = "AllocateDisks",
        ConvertGuest = "ConvertGuest", ConvertOpenstackSnapshot = "ConvertOpenstackSnapshot", CopyDisks = "CopyDisks",
        CopyDisksVirtV2V = "CopyDisksVirtV2V", CopyingPaused = "CopyingPaused", CreateDataVolumes = "CreateDataVolumes",
        CreateFinalSnapshot = "CreateFinalSnapshot", CreateGuestConversionPod = "CreateGuestConversionPod",
        CreateInitialSnapshot = "CreateInitialSnapshot", CreateSnapshot = "CreateSnapshot", CreateVm = "CreateVM",
        Finalize = "Finalize", PowerOffSource = "PowerOffSource", PreflightInspection = "PreflightInspection",
        RemoveFinalSnapshot = "RemoveFinalSnapshot", RemovePenultimateSnapshot = "RemovePenultimateSnapshot",
        RemovePreviousSnapshot = "RemovePreviousSnapshot", StoreInitialSnapshotDeltas = "StoreInitialSnapshotDeltas",
        StorePowerState = "StorePowerState", StoreSnapshotDeltas = "StoreSnapshotDeltas",
        WaitForFinalSnapshot = "WaitForFinalSnapshot", WaitForFinalSnapshotRemoval = "WaitForFinalSnapshotRemoval",
        WaitForGuestReboots = "WaitForGuestReboots", WaitForInitialSnapshot = "WaitForInitialSnapshot",
        WaitForPenultimateSnapshotRemoval = "WaitForPenultimateSnapshotRemoval", WaitForPowerOff = "WaitForPowerOff",
        WaitForPreviousSnapshotRemoval = "WaitForPreviousSnapshotRemoval", WaitForSnapshot = "WaitForSnapshot",
        // older controllers
        WaitForDataVolumesStatus = "WaitForDataVolumesStatus", WaitForFinalDataVolumesStatus = "WaitForFinalDataVolumesStatus",
        // live, from another OpenShift cluster
        CreateServiceExports = "CreateServiceExports", CreateSecrets = "CreateSecrets", CreateConfigMaps = "CreateConfigMaps",
        EnsurePreference = "EnsurePreference", EnsureInstanceType = "EnsureInstanceType", EnsureDataVolumes = "EnsureDataVolumes",
        EnsurePersistentVolumeClaims = "EnsurePersistentVolumeClaims", CreateTarget = "CreateTarget",
        SetOwnerReferences = "SetOwnerReferences", WaitForTargetVmi = "WaitForTargetVMI",
        CreateVirtualMachineInstanceMigrations = "CreateVirtualMachineInstanceMigrations",
        WaitForStateTransfer = "WaitForStateTransfer",
        // EC2
        CreateSnapshots = "CreateSnapshots", WaitForSnapshots = "WaitForSnapshots", ShareSnapshots = "ShareSnapshots",
        CreateVolumes = "CreateVolumes", WaitForVolumes = "WaitForVolumes", CreatePvsAndPvcs = "CreatePVsAndPVCs",
        RemoveSnapshots = "RemoveSnapshots",
    }
}

closed_enum! {
    /// How much a condition matters. `Critical` and `Error` keep a plan from being ready; the controller calls them blockers.
    #[derive(Default)]
    pub enum Category {
        /// Blocks the plan.
        Critical = "Critical",
        /// Blocks the plan.
        Error = "Error",
        /// Does not block. VM conditions spell it `Warning`.
        Warn = "Warn",
        /// For information.
        Advisory = "Advisory",
        /// The Ready family.
        Required = "Required",
        /// The object gives none, as `SharedDisks-<vm>` does on a warm plan.
        None = "None",
        /// A word that this version does not know.
        #[default]
        Unknown = "Unknown",
    }
}

impl Category {
    /// The category with this text; `None` for the empty one and `Unknown` for a new one.
    pub fn parse(text: &str) -> Self {
        match text {
            "Critical" => Self::Critical,
            "Error" => Self::Error,
            "Warn" | "Warning" => Self::Warn,
            "Advisory" => Self::Advisory,
            "Required" => Self::Required,
            "" => Self::None,
            _ => Self::Unknown,
        }
    }

    /// Whether a condition of this category keeps a plan from being ready.
    pub fn is_blocker(self) -> bool {
        matches!(self, Self::Critical | Self::Error)
    }
}

closed_enum! {
    /// The kinds of object that are watched.
    pub enum Kind { Plan = "Plan", Migration = "Migration", Provider = "Provider" }
}

impl Kind {
    /// The kind with this name, if it is one that is watched.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == text)
    }
}
