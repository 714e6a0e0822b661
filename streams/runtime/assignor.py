"""Faust's assignment, in bundles: a worker gets all partitions of a bundle of a topic, or none of them.

Within that it is Faust's own: topics with as many partitions and the same readers go together, what a member had it keeps as
long as all have their share. Topics that nobody reads in batches are assigned partition by partition.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from faust.assignor.client_assignment import ClientAssignment, CopartitionedAssignment
from faust.assignor.cluster_assignment import ClusterAssignment
from faust.assignor.copartitioned_assignor import CopartitionedAssignor
from faust.assignor.partition_assignor import PartitionAssignor

from streams.runtime.batch import intake_of
from streams.runtime.bundle import bundle_of


class BundleAssignor(PartitionAssignor):  # type: ignore[misc, unused-ignore]
    """The assignor of the group; its name tells the number of bundles, so that members of different numbers never meet."""

    @property
    def name(self) -> str:
        """Name of the protocol, by which the group lets members in."""
        intake = intake_of(self.app)
        return str(super().name) if intake is None else f"relais-{intake.bundles}"

    def _perform_assignment(self, cluster: Any, member_metadata: Any) -> Any:
        intake = intake_of(self.app)
        if intake is None:
            return super()._perform_assignment(cluster, member_metadata)
        members = {member: self._get_client_metadata(data) for member, data in member_metadata.items()}
        subscriptions = {member: list(data.subscription) for member, data in member_metadata.items()}
        before = ClusterAssignment()
        for member, data in members.items():
            before.add_client(member, subscriptions[member], data)
        self._update_member_urls(members)
        after = {member: ClientAssignment(actives={}, standbys={}) for member in members}
        groups = self._get_copartitioned_groups(before.topics(), cluster, subscriptions)
        group_of, count_of = {}, {}
        for number, (count, topic_groups) in enumerate(sorted(groups.items())):
            for topics in topic_groups:
                group_of.update(dict.fromkeys(topics, number))
                count_of.update(dict.fromkeys(topics, count))
                bundles = count if topics.isdisjoint(intake.topics) else min(count, intake.bundles)
                held = before.copartitioned_assignments(topics)
                for member, share in assign(held, topics, count, bundles).items():
                    after[member].add_copartitioned_assignment(share)
        after = self._global_table_standby_assignments(after, count_of)
        changelogs = self._get_changelog_distribution(after)
        external = self._get_external_topic_distribution(after)
        return self._protocol_assignments(after, changelogs, external, group_of)


def assign(
    held: Mapping[str, CopartitionedAssignment], topics: set[str], count: int, bundles: int
) -> dict[str, CopartitionedAssignment]:
    """Share `count` partitions of each of these topics out in so many bundles.

    `held`: what each member had; it counts as holding a bundle of which it had a partition.
    """
    as_bundles = {
        member: CopartitionedAssignment({bundle_of(p, bundles) for p in share.actives if p < count}, set(), set(topics))
        for member, share in held.items()
    }
    assigned = CopartitionedAssignor(topics, as_bundles, bundles, 0).get_assignment()
    return {
        member: CopartitionedAssignment(
            {p for p in range(count) if bundle_of(p, bundles) in share.actives}, set(), set(topics)
        )
        for member, share in assigned.items()
    }
