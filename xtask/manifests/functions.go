package main

import (
	"context"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions"
	v1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/validation"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/cel"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/defaulting"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/listtype"
	"k8s.io/apiextensions-apiserver/pkg/apiserver/schema/pruning"
	schemavalidation "k8s.io/apiextensions-apiserver/pkg/apiserver/validation"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	celconfig "k8s.io/apiserver/pkg/apis/cel"
	"sigs.k8s.io/yaml"
)

// expected opens the first line of a function that is to be refused.
const expected = "# expected: "

// checkDefinition validates the definition of the resource, as creating it would, and gives its schema.
func checkDefinition(documents []document, found *faults) *apiextensions.JSONSchemaProps {
	for _, document := range documents {
		external, is := document.object.(*v1.CustomResourceDefinition)
		if !is {
			continue
		}
		v1.SetDefaults_CustomResourceDefinition(external)
		v1.SetDefaults_CustomResourceDefinitionSpec(&external.Spec)
		scheme := runtime.NewScheme()
		if err := apiextensions.AddToScheme(scheme); err != nil {
			panic(err)
		}
		if err := v1.AddToScheme(scheme); err != nil {
			panic(err)
		}
		internal := &apiextensions.CustomResourceDefinition{}
		if err := scheme.Convert(external, internal, nil); err != nil {
			found.add(document.path, "%v", err)
			return nil
		}
		errs := validation.ValidateCustomResourceDefinition(context.Background(), internal)
		for _, err := range errs {
			// What the server sets itself.
			if err.Field != "status.storedVersions" {
				found.add(document.path, "%v", err)
			}
		}
		for _, version := range internal.Spec.Versions {
			if version.Schema != nil {
				return version.Schema.OpenAPIV3Schema
			}
		}
		// With one version, the conversion puts its schema here.
		if internal.Spec.Validation != nil {
			return internal.Spec.Validation.OpenAPIV3Schema
		}
	}
	found.add("CustomResourceDefinition", "there is none with a schema")
	return nil
}

// judgeFunctions asks of every function whether it is taken, and gives how many there were.
func judgeFunctions(definition *apiextensions.JSONSchemaProps, folder string, found *faults) int {
	structural, err := schema.NewStructural(definition)
	if err != nil {
		found.add("schema", "%v", err)
		return 0
	}
	validator, _, err := schemavalidation.NewSchemaValidator(definition)
	if err != nil {
		found.add("schema", "%v", err)
		return 0
	}
	rules := cel.NewValidator(structural, true, celconfig.PerCallLimit)
	judge := func(object map[string]any) field.ErrorList {
		var unknown []string
		for _, path := range pruning.PruneWithOptions(object, structural, true, schema.UnknownFieldPathOptions{TrackUnknownFieldPaths: true}) {
			unknown = append(unknown, path)
		}
		var errs field.ErrorList
		for _, path := range unknown {
			errs = append(errs, field.Forbidden(field.NewPath(path), "unknown field"))
		}
		defaulting.Default(object, structural)
		errs = append(errs, schemavalidation.ValidateCustomResource(nil, object, validator)...)
		errs = append(errs, listtype.ValidateListSetsAndMaps(nil, structural, object)...)
		if len(errs) == 0 {
			// As in the server, rules are asked only of what has the right form.
			more, _ := rules.Validate(context.Background(), nil, structural, object, nil, celconfig.RuntimeCELCostBudget)
			errs = append(errs, more...)
		}
		return errs
	}
	count := 0
	for _, kind := range []string{"valid", "invalid"} {
		paths, err := filepath.Glob(filepath.Join(folder, kind, "*.yaml"))
		if err != nil || len(paths) == 0 {
			found.add(folder, "no functions below %s (%v)", kind, err)
		}
		for _, path := range paths {
			count++
			text, err := os.ReadFile(path)
			if err != nil {
				found.add(path, "%v", err)
				continue
			}
			var object map[string]any
			if err := yaml.Unmarshal(text, &object); err != nil {
				found.add(path, "%v", err)
				continue
			}
			errs := judge(wholeNumbers(object).(map[string]any))
			first, _, _ := strings.Cut(string(text), "\n")
			message, refused := strings.CutPrefix(first, expected)
			switch {
			case refused != (kind == "invalid"):
				found.add(path, "the first line has to be %q in invalid, and only there", expected)
			case !refused && len(errs) > 0:
				found.add(path, "is refused: %v", errs.ToAggregate())
			case refused && len(errs) == 0:
				found.add(path, "is taken, expected: %s", message)
			case refused && !strings.Contains(errs.ToAggregate().Error(), message):
				found.add(path, "is refused with another message: %v", errs.ToAggregate())
			}
		}
	}
	return count
}

// wholeNumbers makes integers of the floating-point numbers that a decoder of JSON gives, as the server does.
func wholeNumbers(value any) any {
	switch value := value.(type) {
	case map[string]any:
		for key, inner := range value {
			value[key] = wholeNumbers(inner)
		}
	case []any:
		for index, inner := range value {
			value[index] = wholeNumbers(inner)
		}
	case float64:
		if whole := int64(value); float64(whole) == value {
			return whole
		}
	}
	return value
}
