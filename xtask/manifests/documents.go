package main

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"sort"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	apiextensions "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/util/yaml"
	clientscheme "k8s.io/client-go/kubernetes/scheme"
)

// document is an object of a manifest, and the file that it is in.
type document struct {
	path   string
	object runtime.Object
}

func newScheme() *runtime.Scheme {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		clientscheme.AddToScheme, apiextensions.AddToScheme, monitoring.AddToScheme,
	} {
		if err := add(scheme); err != nil {
			panic(err)
		}
	}
	return scheme
}

// readManifests reads every .yaml file below a folder, in the order in which kubectl applies them.
func readManifests(folder string, found *faults) ([]document, error) {
	var paths []string
	err := filepath.WalkDir(folder, func(path string, entry os.DirEntry, err error) error {
		if err == nil && filepath.Ext(path) == ".yaml" {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	sort.Strings(paths)
	codecs := serializer.NewCodecFactory(newScheme(), serializer.EnableStrict)
	var documents []document
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		reader := yaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(text)))
		for {
			one, err := reader.Read()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				return nil, err
			}
			if len(bytes.TrimSpace(one)) == 0 {
				continue
			}
			object, _, err := codecs.UniversalDeserializer().Decode(one, nil, nil)
			if err != nil {
				found.add(path, "%v", err)
				continue
			}
			documents = append(documents, document{path, object})
		}
	}
	return documents, nil
}

// checkNamespaces finds what would be put into whatever namespace the user's context happens to name.
func checkNamespaces(documents []document, found *faults) {
	for _, document := range documents {
		kind := document.object.GetObjectKind().GroupVersionKind().Kind
		object, err := meta.Accessor(document.object)
		if err != nil {
			found.add(document.path, "%v", err)
			continue
		}
		cluster := kind == "Namespace" || kind == "CustomResourceDefinition"
		if cluster == (object.GetNamespace() == "picofaas") {
			found.add(document.path, "%s %s: namespace %q", kind, object.GetName(), object.GetNamespace())
		}
	}
}
