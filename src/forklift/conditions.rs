//! The condition types that Forklift is known to write. A type that is not here is shown like any other, and counted: it
//! tells that the cluster runs a Forklift newer than this program knows.
//!
//! Source: the setters in Forklift's plan, migration and provider controllers; the set is open by design.

/// Whether `kind`, without the VM id that two of them carry, is one of the known types.
pub(super) fn is_known(kind: &str) -> bool {
    KNOWN.binary_search(&kind).is_ok()
}

/// In order.
const KNOWN: &[&str] = &[
    "Archived",
    "Canceled",
    "ConnectionAuthFailed",
    "ConnectionAuthRetry",
    "ConnectionInsecure",
    "ConnectionTestFailed",
    "ConnectionTestSucceeded",
    "ConversionHasWarnings",
    "ConversionResumable",
    "DestinationProviderNotReady",
    "DestinationProviderNotValid",
    "DuplicateVM",
    "Executing",
    "Failed",
    "GuestToolsIssue",
    "HookNotReady",
    "HookNotValid",
    "HookServiceAccountNotValid",
    "HookStepNotValid",
    "HostNotReady",
    "IndependentDiskWarning",
    "InspectionHasConcerns",
    "InsufficientPrivileges",
    "InvalidDiskSizes",
    "InventoryCreated",
    "InventoryError",
    "LoadInventory",
    "LuksAndClevisIncompatibility",
    "MacConflicts",
    "MigrationTypeNotValid",
    "MissingPvcForOnlyConversion",
    "NamespaceNotValid",
    "NetAppShiftDatastoreNASMissing",
    "NetAppShiftWarmNotSupported",
    "NetMapDestinationNADNotValid",
    "NetMapPreservingIPsOnPodNetwork",
    "NetworkMapNotReady",
    "NetworkMapRefNotValid",
    "NotValid",
    "Paused",
    "Pending",
    "PlanNotReady",
    "PlanNotValid",
    "ProviderTypeNotSupported",
    "RDMDiskWarning",
    "Ready",
    "RestrictedPodSecurity",
    "Running",
    "SMBCSIDriverNotReady",
    "SMBMountFailed",
    "SSHNotReady",
    "SSHReady",
    "SecretNotValid",
    "ServiceAccountNotValid",
    "SettingsNotValid",
    "SharedDisks",
    "SharedWarnDisks",
    "SourceProviderNotReady",
    "SourceProviderNotValid",
    "StorageMapNotReady",
    "StorageRefNotValid",
    "Succeeded",
    "TargetNameNotValid",
    "TransferNetworkMissingDefaultRoute",
    "TransferNetworkNotValid",
    "UnsupportedOVFExportSource",
    "UnsupportedUserDefinedNetwork",
    "UnsupportedVersion",
    "UrlNotValid",
    "VDDKAndOffloadMixedUsage",
    "VDDKInitImageNotReady",
    "VDDKInitImageUnavailable",
    "VDDKInvalid",
    "VMAlreadyExists",
    "VMConsolidationNeeded",
    "VMCriticalConcerns",
    "VMHasSnapshots",
    "VMIpNotMatchingUdnSubnet",
    "VMMigrationTypeUnsupported",
    "VMMissingChangedBlockTracking",
    "VMMissingGuestIPs",
    "VMMultiplePodNetworkMappings",
    "VMNetworksNotMapped",
    "VMNotFound",
    "VMNotUnique",
    "VMPowerStateUnsupported",
    "VMRefNotValid",
    "VMStorageNotMapped",
    "VMStorageNotSupported",
    "Validated",
    "ValidatingVDDK",
    "VirtV2vImageNotValid",
    "WaitForGuestReboots",
    "WaitingForService",
    "WarmMigrationNotReady",
];

#[cfg(test)]
mod tests {
    use super::KNOWN;

    #[test]
    fn the_list_is_in_order_so_that_it_can_be_searched() {
        assert!(KNOWN.is_sorted());
    }
}
