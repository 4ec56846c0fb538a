package main

import (
	apps "k8s.io/api/apps/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
)

// checkPods holds the pods of Deployments to the Pod Security standard that their namespace enforces.
func checkPods(documents []document, found *faults) {
	level := api.LevelVersion{Level: api.LevelPrivileged, Version: api.LatestVersion()}
	for _, document := range documents {
		if namespace, is := document.object.(*core.Namespace); is {
			parsed, errs := api.PolicyToEvaluate(namespace.Labels, api.Policy{})
			for _, err := range errs {
				found.add(document.path, "%v", err)
			}
			level = parsed.Enforce
		}
	}
	if level.Level != api.LevelRestricted {
		found.add("namespace", "enforces %q and not restricted", level.Level)
	}
	evaluator, err := policy.NewEvaluator(policy.DefaultChecks())
	if err != nil {
		panic(err)
	}
	for _, document := range documents {
		deployment, is := document.object.(*apps.Deployment)
		if !is {
			continue
		}
		template := &deployment.Spec.Template
		for _, result := range evaluator.EvaluatePod(level, &template.ObjectMeta, &template.Spec) {
			if !result.Allowed {
				found.add(document.path, "%s: %s", result.ForbiddenReason, result.ForbiddenDetail)
			}
		}
	}
}
